"""RTCP: reports about RTP streams, and word of those who come and go (RFC 3550, 6; RFC 5506).

A datagram carries a *compound*: packets one behind the other, each with its own length.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|  count  |      type     |  length in words, less one    |
    |        body: that many words, the last of them padding if P   |

A compound need not begin with a report: RFC 5506 lets feedback travel alone. What this module does not
read (APP, extended reports of RFC 3611, types to come) is stepped over by its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from workers.wire.types import DropReason, Malformed

HEADER_LENGTH: Final = 4
MAX_COUNT: Final = 31
"""Report blocks, chunks or sources of one packet: the header counts them in five bits."""
MAX_PACKETS: Final = 64
"""Of one compound: browsers send six at most, and an empty packet has four bytes."""
MAX_TEXT: Final = 255
MAX_LOST: Final = (1 << 23) - 1
MIN_LOST: Final = -(1 << 23)
"""The cumulative loss is a signed number of 24 bits, negative if duplicates outnumber losses."""

_VERSION: Final = 0x80
_VERSION_MASK: Final = 0xC0
_PADDING: Final = 0x20
_COUNT_MASK: Final = 0x1F
_CNAME: Final = 1
_HEADER: Final = struct.Struct(">BBH")
_SOURCE: Final = struct.Struct(">I")
_SENDER: Final = struct.Struct(">IQIII")
_BLOCK: Final = struct.Struct(">IIIIII")
_FEEDBACK: Final = struct.Struct(">II")
# RFC 5761, 4: payload types 64-95 are never given to RTP, because with the marker bit they would be
# read as these.
_FIRST: Final = 192
_LAST: Final = 223


class RtcpType(IntEnum):
    """Packet types that we know by name."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    BYE = 203
    APPLICATION = 204
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206
    EXTENDED_REPORT = 207


class ReportBlock(NamedTuple):
    """How one source's stream arrives at whoever reports (RFC 3550, 6.4.1)."""

    source: int
    fraction_lost: int
    """Since the report before, of 256."""
    lost: int
    """Since the beginning; clamped to 24 bits signed when written."""
    highest: int
    """Extended highest sequence number."""
    jitter: int
    """In units of the stream's clock."""
    last_report: int
    """Middle 32 bits of the NTP time in the last sender report that came; 0 before any."""
    delay: int
    """Since that one came, in units of 1/65536 s."""


class SenderReport(NamedTuple):
    """RFC 3550, 6.4.1."""

    source: int
    ntp: int
    """When it was sent, in units of 2**-32 s since 1900."""
    timestamp: int
    """The same moment in the clock of the stream."""
    packets: int
    octets: int
    """Of payloads."""
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(NamedTuple):
    """RFC 3550, 6.4.2: of somebody who has sent no media since the last report."""

    source: int
    blocks: tuple[ReportBlock, ...] = ()


class SourceDescription(NamedTuple):
    """RFC 3550, 6.5; of its items only the canonical name."""

    names: tuple[tuple[int, bytes], ...]
    """(source, CNAME), for each chunk that has one."""


class Goodbye(NamedTuple):
    """RFC 3550, 6.6."""

    sources: tuple[int, ...]
    reason: bytes = b""


class Feedback(NamedTuple):
    """RFC 4585, 6.1: of the transport layer (NACK, congestion) or of the payload (PLI, REMB)."""

    type: RtcpType
    """TRANSPORT_FEEDBACK or PAYLOAD_FEEDBACK."""
    format: int
    sender: int
    source: int
    """The stream that it is about."""
    information: bytes


class Unread(NamedTuple):
    """Whole, and none of the above."""

    type: int


RtcpPacket: TypeAlias = (
    SenderReport | ReceiverReport | SourceDescription | Goodbye | Feedback | Unread
)


def is_rtcp(datagram: bytes | memoryview) -> bool:
    """True if a datagram of two bytes or more, known to be (S)RTP or (S)RTCP, is RTCP (RFC 5761, 4)."""
    return _FIRST <= datagram[1] <= _LAST


def parse_rtcp(compound: bytes) -> list[RtcpPacket]:
    """Read a decrypted compound; all of it or nothing. Raises Malformed(MALFORMED_RTP).

    At most MAX_PACKETS packets of at most MAX_COUNT parts each.
    """
    return [_parse(*parts) for parts in _split(compound)]


def encode_rtcp(packets: Iterable[RtcpPacket]) -> bytes:
    """Write a compound."""
    return b"".join(map(_encode, packets))


# --- reading ------------------------------------------------------------------------------------------


def _split(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, count, body without padding) of each packet."""
    offset, end, packets = 0, len(compound), 0
    if end < HEADER_LENGTH:
        raise _malformed("short")
    while offset < end:
        packets += 1
        if packets > MAX_PACKETS:
            raise _malformed(f"more than {MAX_PACKETS} packets")
        if end - offset < HEADER_LENGTH:
            raise _malformed("truncated header")
        first, type_, words = _HEADER.unpack_from(compound, offset)
        if first & _VERSION_MASK != _VERSION:
            raise _malformed(f"version {first >> 6}")
        start = offset + HEADER_LENGTH
        offset = start + 4 * words
        if offset > end:
            raise _malformed("truncated packet")
        body = compound[start:offset]
        if first & _PADDING:
            padding = body[-1] if body else 0
            if not 0 < padding <= len(body):
                raise _malformed(f"padding of {padding}")
            body = body[:-padding]
        yield type_, first & _COUNT_MASK, body


def _parse(type_: int, count: int, body: bytes) -> RtcpPacket:
    try:
        match type_:
            case RtcpType.SENDER_REPORT:
                source, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
                blocks = _blocks(body, _SENDER.size, count)
                return SenderReport(source, ntp, timestamp, packets, octets, blocks)
            case RtcpType.RECEIVER_REPORT:
                (source,) = _SOURCE.unpack_from(body)
                return ReceiverReport(source, _blocks(body, _SOURCE.size, count))
            case RtcpType.SOURCE_DESCRIPTION:
                return _description(body, count)
            case RtcpType.BYE:
                return _goodbye(body, count)
            case RtcpType.TRANSPORT_FEEDBACK | RtcpType.PAYLOAD_FEEDBACK:
                sender, source = _FEEDBACK.unpack_from(body)
                rest = body[_FEEDBACK.size :]
                return Feedback(RtcpType(type_), count, sender, source, rest)
            case _:
                return Unread(type_)
    except struct.error:
        raise _malformed(f"short packet of type {type_}") from None


def _blocks(body: bytes, offset: int, count: int) -> tuple[ReportBlock, ...]:
    """What is behind them is a profile's extension (6.4.3), which nobody sends."""
    return tuple(_block(body, offset + index * _BLOCK.size) for index in range(count))


def _block(body: bytes, offset: int) -> ReportBlock:
    source, losses, highest, jitter, last, delay = _BLOCK.unpack_from(body, offset)
    lost = losses & 0xFFFFFF
    if lost > MAX_LOST:
        lost -= 1 << 24
    return ReportBlock(source, losses >> 24, lost, highest, jitter, last, delay)


def _description(body: bytes, count: int) -> SourceDescription:
    names: list[tuple[int, bytes]] = []
    offset = 0
    for _ in range(count):
        (source,) = _SOURCE.unpack_from(body, offset)
        offset += _SOURCE.size
        while True:
            if offset >= len(body):
                raise _malformed("a chunk without end")
            kind = body[offset]
            if kind == 0:
                break
            start = offset + 2
            offset = start + (body[offset + 1] if start <= len(body) else MAX_TEXT)
            if offset > len(body):
                raise _malformed("an item exceeds its packet")
            if kind == _CNAME:
                names.append((source, body[start:offset]))
        # One to four zeros end a chunk at a word's end.
        offset = (offset // 4 + 1) * 4
    return SourceDescription(tuple(names))


def _goodbye(body: bytes, count: int) -> Goodbye:
    sources = struct.unpack_from(f">{count}I", body)
    start = count * _SOURCE.size
    if start == len(body):
        return Goodbye(sources)
    length = body[start]
    if start + 1 + length > len(body):
        raise _malformed("a reason exceeds its packet")
    return Goodbye(sources, body[start + 1 : start + 1 + length])


def _malformed(detail: str) -> Malformed:
    return Malformed(DropReason.MALFORMED_RTP, f"RTCP: {detail}")


# --- writing ------------------------------------------------------------------------------------------


def _encode(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            body = _SENDER.pack(*packet[:5]) + _encode_blocks(packet.blocks)
            return _framed(RtcpType.SENDER_REPORT, len(packet.blocks), body)
        case ReceiverReport():
            body = _SOURCE.pack(packet.source) + _encode_blocks(packet.blocks)
            return _framed(RtcpType.RECEIVER_REPORT, len(packet.blocks), body)
        case SourceDescription():
            body = b"".join(_encode_chunk(source, name) for source, name in packet.names)
            return _framed(RtcpType.SOURCE_DESCRIPTION, len(packet.names), body)
        case Goodbye():
            body = struct.pack(f">{len(packet.sources)}I", *packet.sources)
            if packet.reason:
                reason = packet.reason[:MAX_TEXT]
                body += bytes((len(reason),)) + reason
                body += bytes(-len(body) % 4)
            return _framed(RtcpType.BYE, len(packet.sources), body)
        case Feedback():
            body = _FEEDBACK.pack(packet.sender, packet.source) + packet.information
            return _framed(packet.type, packet.format, body)
        case Unread():
            return _framed(packet.type, 0, b"")


def _encode_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.source,
            block.fraction_lost << 24 | (min(max(block.lost, MIN_LOST), MAX_LOST) & 0xFFFFFF),
            *block[3:],
        )
        for block in blocks
    )


def _encode_chunk(source: int, name: bytes) -> bytes:
    chunk = _SOURCE.pack(source) + bytes((_CNAME, len(name))) + name
    return chunk + bytes(4 - len(chunk) % 4)


def _framed(type_: int, count: int, body: bytes) -> bytes:
    """The body is a whole number of words; so it is for all that we write."""
    return _HEADER.pack(_VERSION | count, type_, len(body) // 4) + body
