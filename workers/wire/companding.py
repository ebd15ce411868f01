"""G.711, µ-law and A-law, by table: one byte a sample of 16 bits (ITU-T G.711; RFC 3551, 4.5.14)."""

from __future__ import annotations

from typing import Final

SILENCE: Final = 0xFF
"""The code of sample 0 in µ-law."""

_BIAS: Final = 0x84
_CLIP: Final = 32_635


def _ulaw(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + _BIAS << (code >> 4 & 0x07)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _to_ulaw(sample: int) -> int:
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = magnitude >> exponent + 3 & 0x0F
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF


def _alaw(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = code >> 4 & 0x07, code & 0x0F
    magnitude = (mantissa << 4) + 8 if not exponent else (mantissa << 4) + 0x108 << exponent - 1
    return magnitude if code & 0x80 else -magnitude


def _to_alaw(sample: int) -> int:
    sign, magnitude = (0x80, sample) if sample >= 0 else (0, -sample - 1)
    magnitude = min(magnitude, 32_767)
    exponent = max(magnitude.bit_length() - 8, 0)
    mantissa = magnitude >> (exponent + 3 if exponent else 4) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


class Law:
    """One of the two: tables for both directions, 64 KB, made on first use."""

    def __init__(self, name: str) -> None:
        """`pcmu` or `pcma`."""
        expand, compress = {"pcmu": (_ulaw, _to_ulaw), "pcma": (_alaw, _to_alaw)}[name]
        samples = [expand(code) & 0xFFFF for code in range(256)]
        self._low = bytes(sample & 0xFF for sample in samples)
        self._high = bytes(sample >> 8 for sample in samples)
        # By the sample as an unsigned number. Neither law looks at the last two bits.
        codes = bytes(compress(sample) for sample in range(-32_768, 32_768, 4))
        self._codes = b"".join(bytes((code,)) * 4 for code in codes[8192:] + codes[:8192])

    def expand(self, payload: bytes) -> bytes:
        """PCM, native 16 bits."""
        pcm = bytearray(2 * len(payload))
        pcm[::2] = payload.translate(self._low)
        pcm[1::2] = payload.translate(self._high)
        return bytes(pcm)

    def compress(self, pcm: bytes) -> bytes:
        """One byte a sample."""
        return bytes(map(self._codes.__getitem__, memoryview(pcm).cast("H")))
