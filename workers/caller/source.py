"""What a caller says: 20 ms frames, each of which can be told again when it comes back.

`SilentOpus` is a real Opus packet that decodes to silence; its number travels in the padding, which
RFC 6716 (3.2.5) tells decoders to accept with any value. `WavSource` speaks a file in G.711 µ-law, since
that needs no codec library; its frames are told by their RTP timestamp.
"""

from __future__ import annotations

import io
import struct
import sys
import wave
from array import array
from typing import Final, Protocol

from workers.wire.companding import SILENCE, Law

FRAME_SECONDS: Final = 0.02
ULAW_RATE: Final = 8000
ULAW_FRAME: Final = 160
OPUS_STEP: Final = 960
"""Timestamp units of a frame; Opus always counts 48 kHz (RFC 7587, 4.1)."""


class Source(Protocol):
    """An endless run of frames of one codec."""

    @property
    def codec(self) -> str:
        """Encoding name in lower case."""

    @property
    def step(self) -> int:
        """RTP timestamp units from frame to frame."""

    def frame(self, index: int) -> bytes:
        """Payload of the frame with that number."""

    def index_of(self, payload: bytes, elapsed: int) -> int | None:
        """Number of a frame that came back `elapsed` timestamp units after frame 0, if it is ours."""


class SilentOpus:
    """Valid 70-byte Opus packets, 20 ms of silence each, with call and frame number in the padding."""

    codec = "opus"
    step = OPUS_STEP
    _PADDING: Final = 65
    # TOC: CELT fullband 20 ms, mono, code 3; one frame, padded; 65 bytes of padding; a silent frame.
    _HEAD: Final = bytes((31 << 3 | 3, 0x41, _PADDING, 0xFF, 0xFE))
    _NUMBERS: Final = struct.Struct(">II")
    NUMBER_AT: Final = 9
    """Where the frame's number is: four bytes, the only ones in which a call's packets differ."""

    def __init__(self, call: int) -> None:
        self._call = call
        self._filler = bytes(range(1, self._PADDING - self._NUMBERS.size + 1))

    def frame(self, index: int) -> bytes:
        """The packet with that number."""
        return self._HEAD + self._NUMBERS.pack(self._call, index) + self._filler

    def index_of(self, payload: bytes, elapsed: int) -> int | None:
        """None if it is another call's, or not as it was sent."""
        if len(payload) != len(self._HEAD) + self._PADDING or not payload.startswith(self._HEAD):
            return None
        call, index = self._NUMBERS.unpack_from(payload, len(self._HEAD))
        return int(index) if call == self._call and payload.endswith(self._filler) else None


class WavSource:
    """A WAV file as G.711 µ-law, over and over. All calls may share one."""

    codec = "pcmu"
    step = ULAW_FRAME

    def __init__(self, ulaw: bytes) -> None:
        padding = -len(ulaw) % ULAW_FRAME
        padded = ulaw + bytes((SILENCE,)) * padding
        self._frames = [padded[i : i + ULAW_FRAME] for i in range(0, len(padded), ULAW_FRAME)]

    @classmethod
    def parse(cls, content: bytes) -> WavSource:
        """From the bytes of a PCM16 WAV file, any channels, 8, 16, 24, 32 or 48 kHz.

        Raises ValueError with what is wrong.
        """
        try:
            with wave.open(io.BytesIO(content)) as file:
                channels, width, rate = (
                    file.getnchannels(),
                    file.getsampwidth(),
                    file.getframerate(),
                )
                raw = file.readframes(file.getnframes())
        except wave.Error as error:
            raise ValueError(f"not a PCM WAV file: {error}") from None
        except EOFError:
            raise ValueError("not a PCM WAV file: it is cut short") from None
        if width != 2:
            raise ValueError(f"{8 * width}-bit samples; 16-bit ones are needed")
        if rate % ULAW_RATE or not ULAW_RATE <= rate <= 48000:
            raise ValueError(f"{rate} Hz; 8000, 16000, 24000, 32000 or 48000 is needed")
        samples = array("h", raw[: len(raw) - len(raw) % (2 * channels)])
        if sys.byteorder == "big":
            samples.byteswap()
        narrow = _average(samples, channels * (rate // ULAW_RATE))
        if not narrow:
            raise ValueError("it has no samples")
        return cls(Law("pcmu").compress(narrow.tobytes()))

    def frame(self, index: int) -> bytes:
        """160 bytes; the file starts again at its end."""
        return self._frames[index % len(self._frames)]

    def index_of(self, payload: bytes, elapsed: int) -> int | None:
        """None if the payload is not what that moment sounded like."""
        index, rest = divmod(elapsed, ULAW_FRAME)
        return index if rest == 0 and payload == self.frame(index) else None


def _average(samples: array[int], group: int) -> array[int]:
    """One sample for every `group`: mixes channels and lowers the rate, with a box as low-pass."""
    if group == 1:
        return samples
    lanes = (samples[lane::group] for lane in range(group))
    return array("h", [sum(values) // group for values in zip(*lanes, strict=False)])
