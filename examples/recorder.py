"""Records each call as a stereo WAV file: the caller on the left, what we play on the right.

What we play is put where it was *heard*: `playback` says how far an item has left for the caller. The file
is written when the call is over; until then it is in memory, 4 MB a minute.
"""

from __future__ import annotations

import math
import sys
import wave
from array import array
from pathlib import Path

import trio

from ipc.backend.call import Call, CallEnded
from ipc.backend.messages import AudioFormat, Encoding, PlaybackEvent
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"
RATE = 16_000
FORMAT = AudioFormat(Encoding.PCM, RATE)
FRAME = RATE // 50
"""Samples of a chunk: 20 ms."""


def beep(milliseconds: int = 400, hertz: int = 880) -> bytes:
    """A tone, as everybody knows it from answering machines."""
    count = RATE * milliseconds // 1000
    samples = (int(8000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(count))
    return array("h", samples).tobytes()


class Recording:
    """Grows with the caller's clock; our side is written behind, when it was heard."""

    def __init__(self) -> None:
        self.left = array("h")
        self.right = array("h")
        self._heard = 0
        """Samples of what we play that the caller has heard."""

    def hear(self, payload: bytes) -> None:
        """The caller's next 20 ms."""
        self.left.frombytes(payload)
        self.right.extend([0] * (len(self.left) - len(self.right)))

    def played(self, sound: bytes, milliseconds: int) -> None:
        """So much of that sound has been heard by now."""
        samples = array("h", sound)[self._heard : milliseconds * RATE // 1000]
        self._heard += len(samples)
        self.right[max(0, len(self.right) - len(samples)) :] = samples

    def save(self, path: Path) -> None:
        """Left and right, sample by sample."""
        length = min(len(self.left), len(self.right))
        stereo = array("h", bytes(4 * length))
        stereo[::2], stereo[1::2] = self.left[:length], self.right[:length]
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(stereo.tobytes())


async def record(call: Call, directory: Path) -> None:
    """Beep, then record until the caller hangs up."""
    recording, sound = Recording(), beep()

    async def follow_playback() -> None:
        async for event in call.playback:
            if event.event is not PlaybackEvent.STARTED:
                recording.played(sound, event.played)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_playback)
            await call.play(sound)
            async for chunk in call.audio:
                recording.hear(chunk.payload)
    except* CallEnded:
        pass
    recording.save(directory / f"{call.id}.wav")


async def main(endpoint: str = ENDPOINT, directory: str = ".", *_: str) -> None:
    """Serve for ever."""
    await run(endpoint, lambda call: record(call, Path(directory)), audio=FORMAT, name="recorder")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
