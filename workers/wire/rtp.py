"""RTP packets: just enough to carry one stream of audio (RFC 3550, 5.1).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
|V=2|P|X|  CC   |M|     PT      |       sequence number         |
|                           timestamp                           |
|                             SSRC                              |
|            CSRC (CC of them), extension (if X), payload       |
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed

HEADER: Final = struct.Struct(">BBHII")
HEADER_LENGTH: Final = HEADER.size
SSRC_LENGTH: Final = 4

_VERSION: Final = 0x80
_VERSION_MASK: Final = 0xC0
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_COUNT_MASK: Final = 0x0F
_MARKER: Final = 0x80
_PAYLOAD_TYPE_MASK: Final = 0x7F


class RtpPacket(NamedTuple):
    """One RTP packet; CSRCs, header extension and padding are checked and left out."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse_rtp(packet: bytes) -> RtpPacket:
    """Read one decrypted RTP packet. Raises Malformed(MALFORMED_RTP)."""
    length = len(packet)
    if length < HEADER_LENGTH:
        raise Malformed(DropReason.MALFORMED_RTP, "short header")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
    start = HEADER_LENGTH
    if first != _VERSION:
        # Rare: browsers send a bare header unless an extension was negotiated.
        start, length = _payload_bounds(first, packet)
    payload_type, marker = second & _PAYLOAD_TYPE_MASK, second >= _MARKER
    # Once per packet: the generated constructor of a named tuple costs more than all above.
    return tuple.__new__(
        RtpPacket, (payload_type, marker, sequence, timestamp, ssrc, packet[start:length])
    )


def _payload_bounds(first: int, packet: bytes) -> tuple[int, int]:
    """First and one-past-last index of the payload behind CSRCs and extension, before the padding."""
    if first & _VERSION_MASK != _VERSION:
        raise Malformed(DropReason.MALFORMED_RTP, f"version {first >> 6}")
    start, end = HEADER_LENGTH + (first & _COUNT_MASK) * SSRC_LENGTH, len(packet)
    if first & _EXTENSION:
        if start + 4 > end:
            raise Malformed(DropReason.MALFORMED_RTP, "short extension")
        start += 4 + int.from_bytes(packet[start + 2 : start + 4], "big") * 4
    if start > end:
        raise Malformed(DropReason.MALFORMED_RTP, "CSRCs or extension exceed the packet")
    if first & _PADDING:
        padding = packet[-1]
        if padding == 0 or start + padding > end:
            raise Malformed(DropReason.MALFORMED_RTP, f"padding of {padding}")
        end -= padding
    return start, end


def encode_rtp(packet: RtpPacket) -> bytes:
    """Write one RTP packet without CSRCs, extension or padding."""
    payload_type, marker, sequence, timestamp, ssrc, payload = packet
    second = payload_type | _MARKER if marker else payload_type
    return HEADER.pack(_VERSION, second, sequence, timestamp, ssrc) + payload
