"""A menu: plays sounds, answers keys. 1 plays the time of day in beeps, 2 a melody, * begins anew, # ends.

Give it WAV files (16 kHz, mono) to play instead: announcer.py ENDPOINT 1=hours.wav 2=address.wav
"""

from __future__ import annotations

import math
import sys
import time
import wave
from array import array
from collections.abc import Mapping

import trio

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"
RATE = 16_000
FORMAT = AudioFormat(Encoding.PCM, RATE)


def tone(hertz: float, seconds: float) -> bytes:
    """A note that does not click: it rises and falls within 10 ms."""
    count, ramp = int(RATE * seconds), RATE // 100
    return array(
        "h",
        (
            int(
                8000
                * min(1.0, n / ramp, (count - n) / ramp)
                * math.sin(2 * math.pi * hertz * n / RATE)
            )
            for n in range(count)
        ),
    ).tobytes()


def silence(seconds: float) -> bytes:
    """Nothing."""
    return bytes(2 * int(RATE * seconds))


def welcome() -> bytes:
    """Two notes up: press a key."""
    return tone(660, 0.15) + silence(0.05) + tone(880, 0.25)


def melody() -> bytes:
    """A scale."""
    return b"".join(tone(440 * 2 ** (step / 12), 0.2) for step in (0, 2, 4, 5, 7, 9, 11, 12))


def clock() -> bytes:
    """As many beeps as the hour."""
    hour = time.localtime().tm_hour % 12 or 12
    return b"".join(tone(1000, 0.1) + silence(0.15) for _ in range(hour))


def read_wav(path: str) -> bytes:
    """PCM of a file. Raises ValueError if it has another format than ours."""
    with wave.open(path) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise ValueError(f"{path}: not 16 kHz, 16 bits, mono")
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


async def menu(call: Call, sounds: Mapping[str, bytes]) -> None:
    """Welcome, then whatever is asked for: a key stops what plays."""
    await call.play(welcome(), "welcome")
    async for key in call.dtmf:
        call.flush()
        if key.digit == "#":
            call.hang_up("goodbye")
            return
        default = {"1": clock, "2": melody}.get(key.digit, welcome)
        await call.play(sounds.get(key.digit) or default(), f"key-{key.digit}")


async def main(endpoint: str = ENDPOINT, *files: str) -> None:
    """Serve for ever."""
    sounds = {key: read_wav(path) for key, _, path in (file.partition("=") for file in files)}
    await run(endpoint, lambda call: menu(call, sounds), audio=FORMAT, name="announcer")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
