"""How long an Opus packet plays, read from its first bytes without a decoder (RFC 6716, 3).

     0 1 2 3 4 5 6 7
    | config  |s| c |      config: mode, bandwidth and frame length; s: stereo; c: how many frames

c = 0 is one frame, 1 and 2 are two; with 3 a second byte has their number in its six low bits.
"""

from __future__ import annotations

from typing import Final

from workers.wire.types import DropReason, Malformed

CLOCK: Final = 48_000
"""The RTP clock of Opus, whatever it is coded at (RFC 7587, 4.1)."""
MAX_DURATION: Final = CLOCK * 120 // 1000
SILENT: Final = 2
"""A packet of at most so many bytes has no frame in it: the sender is in discontinuous transmission."""

_SILK: Final = (480, 960, 1920, 2880)
_HYBRID: Final = (480, 960)
_CELT: Final = (120, 240, 480, 960)
_FRAMES: Final = _SILK * 3 + _HYBRID * 2 + _CELT * 4
"""Samples at 48 kHz by `config` (RFC 6716, table 2)."""


def parse_opus_duration(payload: bytes) -> int:
    """Samples at 48 kHz, 120 to 5760. Raises Malformed(MALFORMED_RTP)."""
    if not payload:
        raise Malformed(DropReason.MALFORMED_RTP, "an empty Opus packet")
    first = payload[0]
    count = first & 3
    if count == 0:
        return _FRAMES[first >> 3]
    if count < 3:
        return 2 * _FRAMES[first >> 3]
    frames = payload[1] & 0x3F if len(payload) > 1 else 0
    duration = frames * _FRAMES[first >> 3]
    if not 0 < duration <= MAX_DURATION:
        raise Malformed(DropReason.MALFORMED_RTP, f"an Opus packet of {duration} samples")
    return duration
