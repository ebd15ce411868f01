"""G.711 µ-law by table: 16-bit linear samples to bytes and back (ITU-T G.711, RFC 3551 4.5.14)."""

from __future__ import annotations

from array import array
from typing import Final

BIAS: Final = 0x84
CLIP: Final = 32635
SILENCE: Final = 0xFF
"""The code of sample 0."""


def _encode(sample: int) -> int:
    magnitude = min(abs(sample), CLIP) + BIAS
    exponent = magnitude.bit_length() - 8  # BIAS keeps it in 0-7
    mantissa = magnitude >> exponent + 3 & 0x0F
    sign = 0x80 if sample < 0 else 0
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def _decode(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + BIAS << (code >> 4 & 0x07)
    return BIAS - magnitude if code & 0x80 else magnitude - BIAS


_DECODED: Final = tuple(_decode(code) for code in range(256))
# Two low bits of a sample never reach the code, so a quarter of the 65536 entries is enough.
_ENCODED: Final = bytes(_encode(sample) for sample in range(-32768, 32768, 4))


def encode_ulaw(samples: array[int]) -> bytes:
    """One byte a sample, from signed 16-bit samples."""
    return bytes([_ENCODED[sample + 32768 >> 2] for sample in samples])


def decode_ulaw(payload: bytes) -> array[int]:
    """Signed 16-bit samples, one a byte."""
    return array("h", [_DECODED[code] for code in payload])
