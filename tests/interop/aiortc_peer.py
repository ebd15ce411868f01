"""An aiortc client in a process of its own: speaks a tone to an appliance, prints what came back.

    python tests/interop/aiortc_peer.py URL PATH SECONDS [LOSS]

LOSS is the share of its own packets that it loses on purpose, 0 to 1.

aiortc lives on asyncio and loads half of FFmpeg, neither of which belongs into the test process.
"""

from __future__ import annotations

import array
import asyncio
import fractions
import json
import math
import random
import statistics
import sys
import time
import urllib.error
import urllib.request

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCDtlsTransport

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


def lose(share: float) -> None:
    """Lose that share of the RTP that any connection sends."""
    chance, send = random.Random(1), RTCDtlsTransport._send_rtp

    async def lossy(self: RTCDtlsTransport, data: bytes) -> None:
        is_rtcp = 192 <= data[1] <= 223
        if is_rtcp or chance.random() >= share:
            await send(self, data)

    RTCDtlsTransport._send_rtp = lossy  # type: ignore[method-assign]


async def main(url: str, path: str, seconds: float) -> dict[str, object]:
    """Call, talk, hang up."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone())
    heard: list[array.array[int]] = []
    rates: set[int] = set()

    async def listen(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            channels = len(frame.layout.channels)
            heard.append(array.array("h", bytes(frame.planes[0])[: frame.samples * 2 * channels]))
            heard[-1] = heard[-1][::channels]
            rates.add(frame.sample_rate)

    tasks: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    await peer.setLocalDescription(await peer.createOffer())
    status, location, answer = await asyncio.to_thread(
        request, "POST", url + path, peer.localDescription.sdp
    )
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(seconds)
    state = peer.connectionState
    loud = array.array("h")
    for frame in heard[len(heard) // 2 :][:25]:
        loud.extend(frame)
    rate = rates.pop() if rates else RATE
    # By frame: a jitter buffer that jumps once is heard once, where one sum over all would cancel out.
    tones = [strength(frame, rate, PITCH) for frame in heard[len(heard) // 2 :][:25]]
    if path.startswith("/whip"):
        ended = (await asyncio.to_thread(request, "DELETE", url + location))[0]
    else:
        ended = (await asyncio.to_thread(request, "POST", f"{url}{location}/hangup"))[0]
    for task in tasks:
        task.cancel()
    await peer.close()
    return {
        "status": status,
        "location": location,
        "ended": ended,
        "state": state,
        "frames": len(heard),
        "rms": math.sqrt(sum(s * s for s in loud) / len(loud)) if loud else 0.0,
        "tone": statistics.fmean(tones) if tones else 0.0,
    }


if __name__ == "__main__":
    lose(float(sys.argv[4]) if len(sys.argv) > 4 else 0.0)
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
