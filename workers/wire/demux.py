"""What a datagram is, by its first byte (RFC 7983, section 7).

             +----------------+
             |        [0..3] -+--> STUN
first byte   |      [20..63] -+--> DTLS
             |    [128..191] -+--> RTP or RTCP, here always their SRTP form
             |     all others -+--> unknown: ZRTP, TURN channel data and noise, none of it ours
             +----------------+
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Kind(IntEnum):
    """A protocol that shares the port."""

    UNKNOWN = 0
    STUN = 1
    DTLS = 2
    RTP = 3
    """RTP or RTCP; RFC 5761 tells the two apart by the second byte, which no relay needs."""


def _kind(first: int) -> Kind:
    if first <= 3:
        return Kind.STUN
    if 20 <= first <= 63:
        return Kind.DTLS
    if 128 <= first <= 191:
        return Kind.RTP
    return Kind.UNKNOWN


KINDS: Final = tuple(_kind(first) for first in range(256))
"""Kind by first byte, for paths that run once per datagram."""

FORWARDED: Final = tuple(kind in (Kind.DTLS, Kind.RTP) for kind in KINDS)
"""By first byte: a datapath passes it on unread when its flow is installed."""


def kind_of(datagram: bytes | memoryview) -> Kind:
    """Kind of a datagram; an empty one is UNKNOWN."""
    return KINDS[datagram[0]] if datagram else Kind.UNKNOWN
