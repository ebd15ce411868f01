"""Serial numbers without the wrap: inside, they are plain integers that only grow.

The wire has them modulo 2**32 (TSN, RE-CONFIG requests) or 2**16 (stream sequence numbers). Seen from
a number near by there is one plain integer that it can mean (RFC 1982), so that everything behind the
parser compares with `<`.
"""

from __future__ import annotations

from typing import Final

TSN_MASK: Final = 0xFFFF_FFFF
SSN_MASK: Final = 0xFFFF
_TSN_HALF: Final = 1 << 31
_SSN_HALF: Final = 1 << 15


def unwrap_tsn(wire: int, near: int) -> int:
    """The integer that is `wire` modulo 2**32 and nearest to `near`; may be negative."""
    return near + ((wire - near + _TSN_HALF) & TSN_MASK) - _TSN_HALF


def unwrap_ssn(wire: int, near: int) -> int:
    """The integer that is `wire` modulo 2**16 and nearest to `near`; may be negative."""
    return near + ((wire - near + _SSN_HALF) & SSN_MASK) - _SSN_HALF
