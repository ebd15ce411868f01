"""The Data Channel Establishment Protocol (RFC 8832): two messages on the channel's own stream.

OPEN: type u8 = 3 | channel type u8 | priority u16 | reliability u32
      | label length u16 | protocol length u16 | label | protocol
ACK:  type u8 = 2
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed


class PayloadProtocol(IntEnum):
    """Payload protocol identifiers of data channels (RFC 8831, 8)."""

    DCEP = 50
    TEXT = 51
    BINARY = 53
    EMPTY_TEXT = 56
    EMPTY_BINARY = 57


class Reliability(IntEnum):
    """Lower seven bits of the channel type (RFC 8832, 5.1)."""

    RELIABLE = 0
    RETRANSMITS = 1
    LIFETIME = 2


_OPEN: Final = 3
_ACK: Final = 2
_UNORDERED: Final = 0x80
_HEADER: Final = struct.Struct(">BBHIHH")


class ChannelOpen(NamedTuple):
    """DATA_CHANNEL_OPEN."""

    label: str
    protocol: str
    ordered: bool = True
    reliability: Reliability = Reliability.RELIABLE
    limit: int = 0
    """Retransmissions, or milliseconds, by reliability."""
    priority: int = 256


class ChannelAck(NamedTuple):
    """DATA_CHANNEL_ACK."""


def parse_dcep(message: bytes) -> ChannelOpen | ChannelAck:
    """Read one message. Raises Malformed(MALFORMED_SCTP)."""
    if message[:1] == bytes((_ACK,)):
        return ChannelAck()
    if len(message) < _HEADER.size or message[0] != _OPEN:
        raise Malformed(DropReason.MALFORMED_SCTP, "not a DCEP message")
    _, kind, priority, limit, label_length, protocol_length = _HEADER.unpack_from(message)
    split, end = _HEADER.size + label_length, _HEADER.size + label_length + protocol_length
    if len(message) != end:
        raise Malformed(DropReason.MALFORMED_SCTP, f"OPEN of {len(message)}, not {end}")
    try:
        return ChannelOpen(
            message[_HEADER.size : split].decode(),
            message[split:end].decode(),
            not kind & _UNORDERED,
            Reliability(kind & ~_UNORDERED),
            limit,
            priority,
        )
    except ValueError as error:  # not UTF-8, or an unknown channel type
        raise Malformed(DropReason.MALFORMED_SCTP, str(error)) from None


def encode_dcep(message: ChannelOpen | ChannelAck) -> bytes:
    """Write one message. Label and protocol have at most 65535 bytes of UTF-8 each."""
    if isinstance(message, ChannelAck):
        return bytes((_ACK,))
    label, protocol = message.label.encode(), message.protocol.encode()
    kind = message.reliability | (0 if message.ordered else _UNORDERED)
    return (
        _HEADER.pack(_OPEN, kind, message.priority, message.limit, len(label), len(protocol))
        + label
        + protocol
    )
