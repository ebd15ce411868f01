"""Datagrams in a stream of bytes: each has its length in front (RFC 4571, section 2).

     0                   1
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
    +-------------------------------+-----------------------------
    |  length, not counting itself  |  a datagram of that length
    +-------------------------------+-----------------------------

A length of zero is legal and stands for an empty datagram.
"""

from __future__ import annotations

import struct
from typing import Final

from workers.wire.types import DropReason, Malformed

_LENGTH: Final = struct.Struct(">H")
LENGTH_SIZE: Final = _LENGTH.size


def encode_frame(datagram: bytes | memoryview) -> bytes:
    """A datagram of at most 65535 bytes as it is sent on a stream."""
    return _LENGTH.pack(len(datagram)) + datagram


def split_frames(received: bytes, longest: int) -> tuple[list[bytes], bytes]:
    """The datagrams that are whole, and the rest, which waits for what comes next.

    The rest is never longer than a frame. Raises Malformed (OVERSIZE) at a datagram that is longer than
    `longest`: what follows could only be found by taking it in.
    """
    datagrams: list[bytes] = []
    offset, end = 0, len(received)
    while end - offset >= LENGTH_SIZE:
        (length,) = _LENGTH.unpack_from(received, offset)
        if length > longest:
            raise Malformed(DropReason.OVERSIZE, f"a frame of {length} bytes")
        start = offset + LENGTH_SIZE
        if start + length > end:
            break
        offset = start + length
        datagrams.append(received[start:offset])
    return datagrams, received[offset:]
