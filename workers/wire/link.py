"""The link between relay and transceiver: records in UDP datagrams (docs/wire.md, section 2).

    type u8 | flags u8 | length u16 | label u32 | payload[length]          big-endian, 8 bytes in front

A link datagram carries one or more records. INTRO payloads begin with the client's flow key:

    transport u8 | client address 16 | port 2 | local address 16 | port 2 | datagram

ROUTED is what a Global Relay says instead, to the relay of a cluster, with the route in front:

    cluster u16 | transceiver u16 | epoch u16 | as INTRO
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from config.ids import (
    PACKED_ENDPOINT_LENGTH,
    ClusterId,
    Endpoint,
    Epoch,
    FlowKey,
    Route,
    TransceiverId,
    Transport,
)
from workers.wire.types import DropReason, Malformed

HEADER: Final = struct.Struct(">BBHI")
HEADER_LENGTH: Final = HEADER.size
FLAG_ASSURED: Final = 0x01
"""On a STUN success response whose request passed MESSAGE-INTEGRITY: install the flow."""
FLAG_PROVEN: Final = 0x02
"""The path is proven (DTLS or our own check): the flow may replace another session's assured one."""
MAX_LINK_DATAGRAM: Final = 65000
MAX_PAYLOAD: Final = 2048
"""No client datagram that we serve is longer; longer ones are dropped before the link."""
INTRO_PREFIX_LENGTH: Final = 1 + 2 * PACKED_ENDPOINT_LENGTH
_ROUTE: Final = struct.Struct(">HHH")
ROUTED_PREFIX_LENGTH: Final = _ROUTE.size + INTRO_PREFIX_LENGTH
SLOT_BITS: Final = 24


class RecordType(IntEnum):
    """What a record carries."""

    DATA = 1
    INTRO = 2
    FORGET = 3
    UNKNOWN = 4
    ROUTED = 5
    """From a Global Relay to a cluster's relay: never to a transceiver, never further than one relay."""
    ECHO = 6
    """From a Global Relay, and back: the relay lives. Its label is a number, no flow's."""


class Record(NamedTuple):
    """One record; `payload` is a view into the datagram it came in."""

    type: RecordType
    flags: int
    label: int
    payload: memoryview


_OF_TRANSCEIVERS: Final = {int(t): t for t in RecordType if t <= RecordType.UNKNOWN}


def make_label(slot: int, generation: int) -> int:
    """Label of a flow: slot u24 in the high bits, generation u8 in the low ones."""
    return slot << 8 | generation & 0xFF


def split_label(label: int) -> tuple[int, int]:
    """(slot, generation) of a label."""
    return label >> 8, label & 0xFF


def encode_record(type_: RecordType, flags: int, label: int, payload: bytes | memoryview) -> bytes:
    """One record, header and payload."""
    return HEADER.pack(type_, flags, len(payload), label) + payload


def parse_records(datagram: bytes | memoryview) -> Iterator[Record]:
    """Yield the records of a link datagram between a relay and a transceiver.

    Raises Malformed (after the good ones before it) at a truncated record or an unknown type.
    """
    view = memoryview(datagram)
    offset, end = 0, len(view)
    while offset < end:
        if end - offset < HEADER_LENGTH:
            raise Malformed(DropReason.MALFORMED_LINK, "truncated header")
        type_, flags, length, label = HEADER.unpack_from(view, offset)
        offset += HEADER_LENGTH
        if length > end - offset:
            raise Malformed(DropReason.MALFORMED_LINK, "truncated payload")
        known = _OF_TRANSCEIVERS.get(type_)
        if known is None:
            raise Malformed(DropReason.MALFORMED_LINK, f"type {type_}")
        # As `Record(...)`, without the cost of its generated constructor.
        yield tuple.__new__(Record, (known, flags, label, view[offset : offset + length]))
        offset += length


def encode_intro(key: FlowKey, datagram: bytes) -> bytes:
    """Payload of an INTRO record."""
    return bytes((key.transport,)) + key.client.pack() + key.local.pack() + datagram


def parse_intro(payload: bytes | memoryview) -> tuple[FlowKey, memoryview]:
    """Flow key and datagram of an INTRO payload. Raises Malformed."""
    if len(payload) < INTRO_PREFIX_LENGTH:
        raise Malformed(DropReason.MALFORMED_LINK, "short INTRO")
    raw = bytes(payload[:INTRO_PREFIX_LENGTH])
    try:
        transport = Transport(raw[0])
    except ValueError:
        raise Malformed(DropReason.MALFORMED_LINK, f"transport {raw[0]}") from None
    middle = 1 + PACKED_ENDPOINT_LENGTH
    client, local = Endpoint.unpack(raw[1:middle]), Endpoint.unpack(raw[middle:])
    return FlowKey(transport, client, local), memoryview(payload)[INTRO_PREFIX_LENGTH:]


def encode_routed(route: Route, key: FlowKey, datagram: bytes) -> bytes:
    """Payload of a ROUTED record."""
    return _ROUTE.pack(*route) + encode_intro(key, datagram)


def parse_routed(payload: bytes | memoryview) -> tuple[Route, FlowKey, memoryview]:
    """Route, flow key and datagram of a ROUTED payload. Raises Malformed."""
    if len(payload) < _ROUTE.size:
        raise Malformed(DropReason.MALFORMED_LINK, "short ROUTED")
    cluster, transceiver, epoch = _ROUTE.unpack_from(payload)
    key, datagram = parse_intro(memoryview(payload)[_ROUTE.size :])
    return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch)), key, datagram


def pack_records(records: Iterable[bytes], mtu: int) -> Iterator[bytes]:
    """Join encoded records, in order, into datagrams of at most `mtu` bytes; splits none."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and size + len(record) > mtu:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield b"".join(batch)
