"""G.711 to PCM and back at the rate that is wanted, with a guess in place of what is lost."""

from __future__ import annotations

from functools import cache
from typing import Final

from workers.transceiver.audio.resampler import Resampler
from workers.transceiver.audio.waveform import Concealer
from workers.wire.companding import Law
from workers.wire.types import DropReason, Malformed

CLOCK: Final = 8_000
MAX_PAYLOAD: Final = CLOCK * 120 // 1000
"""Bytes, and samples: 120 ms, as in Opus."""

law: Final = cache(Law)
"""The tables of `pcmu` or `pcma`."""


class G711Decoder:
    """One stream's decoder. Raises LibraryMissing when it is made, unless the rate is 8000."""

    def __init__(self, name: str, rate: int) -> None:
        """`pcmu` or `pcma`."""
        self._law = law(name)
        self._resampler = None if rate == CLOCK else Resampler(CLOCK, rate)
        self._concealer = Concealer(CLOCK)

    def duration(self, payload: bytes) -> int:
        """At 8 kHz: a byte is a sample. Raises Malformed."""
        if not 0 < len(payload) <= MAX_PAYLOAD:
            raise Malformed(DropReason.MALFORMED_RTP, f"G.711 of {len(payload)} bytes")
        return len(payload)

    def decode(self, payload: bytes) -> bytes:
        """PCM of a payload."""
        return self._resampled(self._concealer.heard(self._law.expand(payload)))

    def conceal(self, duration: int, following: bytes | None) -> bytes:
        """The last period of the voice again, fading. What follows is of no use."""
        return self._resampled(self._concealer.conceal(min(max(duration, 1), MAX_PAYLOAD)))

    def _resampled(self, pcm: bytes) -> bytes:
        return pcm if self._resampler is None else self._resampler.resample(pcm)


class G711Encoder:
    """One stream's encoder. Raises LibraryMissing when it is made, unless the rate is 8000."""

    def __init__(self, name: str, rate: int) -> None:
        """`pcmu` or `pcma`."""
        self._law = law(name)
        self._resampler = None if rate == CLOCK else Resampler(rate, CLOCK)

    def encode(self, pcm: bytes) -> bytes:
        """The payload."""
        return self._law.compress(pcm if self._resampler is None else self._resampler.resample(pcm))

    def expect_loss(self, share: float) -> None:
        """Nothing can be done about it."""
