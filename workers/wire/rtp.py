"""RTP and RTCP packets: just enough to carry one stream of audio (RFC 3550, RFC 5761).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |                             SSRC                              |
    |            CSRC (CC of them), extension (if X), payload       |

An RTCP packet is a compound: one or more blocks, each with its own length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed

HEADER: Final = struct.Struct(">BBHII")
HEADER_LENGTH: Final = HEADER.size
RTCP_HEADER_LENGTH: Final = 4
SSRC_LENGTH: Final = 4

_VERSION: Final = 0x80
_VERSION_MASK: Final = 0xC0
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_COUNT_MASK: Final = 0x0F
_MARKER: Final = 0x80
_PAYLOAD_TYPE_MASK: Final = 0x7F
_RTCP_COUNT_MASK: Final = 0x1F
# RFC 5761, 4: payload types 64-95 are never given to RTP, because with the marker bit they would be
# read as these RTCP packet types.
_FIRST_RTCP: Final = 192
_LAST_RTCP: Final = 223


class RtpPacket(NamedTuple):
    """One RTP packet; CSRCs, header extension and padding are checked and left out."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class RtcpType(IntEnum):
    """RTCP packet types that we know by name."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    BYE = 203
    APPLICATION = 204
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206
    EXTENDED_REPORT = 207


class RtcpBlock(NamedTuple):
    """One block of a compound RTCP packet; `type` may be one that RtcpType does not name."""

    type: int
    items: int
    """What the header's count field says: reports, chunks or SSRCs, by type."""
    body: bytes


def is_rtcp(datagram: bytes | memoryview) -> bool:
    """True if a datagram of two bytes or more, already known to be (S)RTP or (S)RTCP, is RTCP."""
    return _FIRST_RTCP <= datagram[1] <= _LAST_RTCP


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


def parse_rtcp(packet: bytes) -> Iterator[RtcpBlock]:
    """Yield the blocks of a decrypted compound packet.

    Raises Malformed(MALFORMED_RTP), after the good blocks before it, at one that is not whole.
    """
    offset, end = 0, len(packet)
    if end < RTCP_HEADER_LENGTH:
        raise Malformed(DropReason.MALFORMED_RTP, "short RTCP")
    while offset < end:
        if end - offset < RTCP_HEADER_LENGTH:
            raise Malformed(DropReason.MALFORMED_RTP, "truncated RTCP header")
        first, type_ = packet[offset], packet[offset + 1]
        if first & _VERSION_MASK != _VERSION:
            raise Malformed(DropReason.MALFORMED_RTP, f"RTCP version {first >> 6}")
        start = offset + RTCP_HEADER_LENGTH
        offset = start + int.from_bytes(packet[offset + 2 : start], "big") * 4
        if offset > end:
            raise Malformed(DropReason.MALFORMED_RTP, "truncated RTCP block")
        yield RtcpBlock(
            type_, first & _RTCP_COUNT_MASK, _without_padding(first, packet, start, offset)
        )


def _without_padding(first: int, packet: bytes, start: int, end: int) -> bytes:
    if not first & _PADDING:
        return packet[start:end]
    padding = packet[end - 1] if end > start else 0
    if padding == 0 or padding > end - start:
        raise Malformed(DropReason.MALFORMED_RTP, f"RTCP padding of {padding}")
    return packet[start : end - padding]


def encode_rtcp(block: RtcpBlock) -> bytes:
    """Write one block; the body must be a multiple of four bytes. Join blocks for a compound."""
    return (
        struct.pack(">BBH", _VERSION | block.items, block.type, len(block.body) // 4) + block.body
    )


def parse_bye(block: RtcpBlock) -> tuple[int, ...]:
    """SSRCs that a BYE block takes leave of (RFC 3550, 6.6). Raises Malformed(MALFORMED_RTP)."""
    if len(block.body) < block.items * SSRC_LENGTH:
        raise Malformed(DropReason.MALFORMED_RTP, "short BYE")
    return struct.unpack_from(f">{block.items}I", block.body)
