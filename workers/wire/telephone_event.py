"""Named events in RTP, of which the keys of a telephone are the ones that matter (RFC 4733, 2.3).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |     event     |E|R| volume    |          duration             |

E: the key is up again. The duration counts, in the RTP clock, from the packet's timestamp.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed

DIGITS: Final = "0123456789*#ABCD"
"""The character of each event from 0 on (RFC 4733, table 3)."""
MAX_DURATION: Final = 0xFFFF

_FORMAT: Final = struct.Struct(">BBH")
_END: Final = 0x80
_VOLUME: Final = 0x3F


class TelephoneEvent(NamedTuple):
    """One report of one event."""

    event: int
    """0-255; below 16 an index of DIGITS."""
    end: bool
    volume: int
    """dBm0 without its sign, 0-63."""
    duration: int
    """RTP clock, 0-65535."""


def parse_telephone_event(payload: bytes) -> TelephoneEvent:
    """Read the first report of a packet; redundant ones behind it are ignored.

    Raises Malformed(MALFORMED_RTP).
    """
    if len(payload) < _FORMAT.size:
        raise Malformed(DropReason.MALFORMED_RTP, "a short telephone event")
    event, flags, duration = _FORMAT.unpack_from(payload)
    return TelephoneEvent(event, flags >= _END, flags & _VOLUME, duration)


def encode_telephone_event(event: TelephoneEvent) -> bytes:
    """Four bytes."""
    return _FORMAT.pack(event.event, event.end * _END | event.volume, event.duration)
