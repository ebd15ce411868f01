"""A tone on aiortc, how to ask for a call, and how much of what comes back is that tone."""

from __future__ import annotations

import array
import asyncio
import fractions
import math
import time
import urllib.request

import av
from aiortc import MediaStreamTrack

RATE = 48_000
FRAME = RATE // 50
PITCH = 440.0


class Tone(MediaStreamTrack):
    """One pitch, paced in real time."""

    kind = "audio"

    def __init__(self, pitch: float = PITCH) -> None:
        super().__init__()
        self._pitch = pitch
        self._position = 0
        self._began = 0.0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms."""
        self._began = self._began or time.monotonic()
        await asyncio.sleep(max(0.0, self._began + self._position / RATE - time.monotonic()))
        samples = array.array(
            "h",
            (
                int(12_000 * math.sin(2 * math.pi * self._pitch * (self._position + n) / RATE))
                for n in range(FRAME)
            ),
        )
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(samples.tobytes())
        frame.pts = self._position
        frame.sample_rate = RATE
        frame.time_base = fractions.Fraction(1, RATE)
        self._position += FRAME
        return frame


def request(method: str, url: str, body: str = "") -> tuple[int, str, str]:
    """Status, Location and body of one HTTP request."""
    call = urllib.request.Request(
        url, body.encode() or None, {"Content-Type": "application/sdp"}, method=method
    )
    with urllib.request.urlopen(call, timeout=20) as response:
        return response.status, response.headers["Location"] or "", response.read().decode()


def strength(samples: array.array[int], rate: int, frequency: float) -> float:
    """How much of the sound is that tone, 0 to 1 (one bin of a Fourier transform)."""
    real = sum(s * math.cos(2 * math.pi * frequency * n / rate) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(2 * math.pi * frequency * n / rate) for n, s in enumerate(samples))
    power = sum(s * s for s in samples)
    return 2 * (real**2 + imaginary**2) / (len(samples) * power) if power else 0.0
