"""The little of STUN that a relay reads: the class of a Binding message and its USERNAME (RFC 8489).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---+---------------------------+-------------------------------+
    |0 0|  method and class, 14 bit |  length of what follows byte  |
    +---+---------------------------+  20, a multiple of four       |
    |                 magic cookie 0x2112A442                       |
    +---------------------------------------------------------------+
    |                 transaction id, 96 bits                       |
    +===============================+===============================+
    |  attribute type               |  length of value              |
    +-------------------------------+-------------------------------+
    |  value, padded to a multiple of four                       ...|
    +-------------------------------+-------------------------------+

A relay verifies nothing, since it has no passwords: it only has to find the USERNAME of a check,
`ours:theirs` (RFC 8445, 7.2.2), wherever it stands. A check may be as long as a datagram, because
clients that carry DTLS inside STUN put whole flights into an attribute, and it may hold attributes
nobody here knows; those are stepped over. The walk is total (every input gives a value or Malformed)
and short: more attributes than any client sends are refused, so that a stranger cannot make us walk
hundreds of empty ones. It ends at MESSAGE-INTEGRITY, after which RFC 8489 (14.5) lets nothing count:
the relay never routes by a USERNAME that the transceiver would not verify.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed

HEADER_LENGTH: Final = 20
MAGIC_COOKIE: Final = 0x2112A442
MAX_ATTRIBUTES: Final = 32
MAX_USERNAME: Final = 513
"""RFC 8489, 14.3."""

_HEADER: Final = struct.Struct(">HHI")
_ATTRIBUTE: Final = struct.Struct(">HH")
_CLASS_BITS: Final = 0x0110
_BINDING: Final = 0x0001
_USERNAME: Final = 0x0006
_MESSAGE_INTEGRITY: Final = 0x0008
_MESSAGE_INTEGRITY_SHA256: Final = 0x001C


class StunClass(IntEnum):
    """Class of a message; the values are the two class bits in their places in the type field."""

    REQUEST = 0x0000
    INDICATION = 0x0010
    SUCCESS = 0x0100
    ERROR = 0x0110


_CLASSES: Final = {int(c): c for c in StunClass}


class StunSummary(NamedTuple):
    """What a relay knows of a Binding message. Both halves are empty if there is no USERNAME."""

    stun_class: StunClass
    ours: str
    """The half before the colon, the receiver's ufrag. Bytes beyond ASCII come out as Latin-1."""
    theirs: str


def parse_stun(datagram: bytes) -> StunSummary:
    """Class and USERNAME of a Binding message.

    Raises Malformed: MALFORMED_STUN, or UNSUPPORTED for another method than Binding.
    """
    end = len(datagram)
    if end < HEADER_LENGTH:
        raise Malformed(DropReason.MALFORMED_STUN, "short header")
    type_, length, cookie = _HEADER.unpack_from(datagram)
    if cookie != MAGIC_COOKIE or type_ >= 0x4000:
        raise Malformed(DropReason.MALFORMED_STUN, "not STUN")
    if length & 3 or length + HEADER_LENGTH != end:
        raise Malformed(DropReason.MALFORMED_STUN, "length")
    if type_ & ~_CLASS_BITS != _BINDING:
        raise Malformed(DropReason.UNSUPPORTED, "method")
    stun_class = _CLASSES[type_ & _CLASS_BITS]
    # Only a request must say who it is for; answers come back on a flow that is known by then.
    if stun_class is not StunClass.REQUEST:
        return StunSummary(stun_class, "", "")
    ours, _, theirs = _username(datagram, end).partition(":")
    return StunSummary(stun_class, ours, theirs)


def _username(datagram: bytes, end: int) -> str:
    offset = HEADER_LENGTH
    for _ in range(MAX_ATTRIBUTES):
        if offset == end:
            return ""
        # The offset and the end are multiples of four, so a header always fits.
        type_, length = _ATTRIBUTE.unpack_from(datagram, offset)
        offset += 4
        if length > end - offset:
            raise Malformed(DropReason.MALFORMED_STUN, "attribute beyond the end")
        if type_ == _USERNAME:
            if length > MAX_USERNAME:
                raise Malformed(DropReason.MALFORMED_STUN, "USERNAME too long")
            return datagram[offset : offset + length].decode("latin-1")
        if type_ in (_MESSAGE_INTEGRITY, _MESSAGE_INTEGRITY_SHA256):
            return ""
        offset += length + 3 & ~3
    raise Malformed(DropReason.MALFORMED_STUN, "too many attributes")
