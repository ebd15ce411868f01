"""The link socket on loopback: batches in, packed datagrams out, refusals counted."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from config.ids import Endpoint
from workers.transceiver.core.interface import SendRecord
from workers.transceiver.media.link import BUDGET, Link
from workers.wire.link import RecordType, encode_record, parse_records
from workers.wire.types import DropReason


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Link, socket.socket, Endpoint]]:
    """A link, a relay's socket, and the relay's address."""
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as ours,
        socket.socket(family, socket.SOCK_DGRAM) as relay,
    ):
        for sock in (ours, relay):
            sock.bind((host, 0))
            sock.setblocking(False)
        relay.connect(ours.getsockname())
        address = Endpoint(*relay.getsockname()[:2])
        yield Link(ours, 1372, (address,)), relay, address


def test_records_come_with_the_relay_and_in_order(
    pair: tuple[Link, socket.socket, Endpoint],
) -> None:
    link, relay, address = pair
    relay.send(
        encode_record(RecordType.DATA, 0, 1, b"one") + encode_record(RecordType.FORGET, 0, 2, b"")
    )
    relay.send(encode_record(RecordType.INTRO, 1, 3, b"three"))
    seen = [(e.relay, e.type, e.flags, e.label, bytes(e.payload)) for e in link.receive()]
    assert seen == [
        (address, RecordType.DATA, 0, 1, b"one"),
        (address, RecordType.FORGET, 0, 2, b""),
        (address, RecordType.INTRO, 1, 3, b"three"),
    ]
    assert list(link.receive()) == []


def test_junk_ends_its_datagram_and_is_counted(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, _ = pair
    relay.send(encode_record(RecordType.DATA, 0, 1, b"good") + b"\x09junk-junk")
    relay.send(b"?")
    relay.send(encode_record(RecordType.DATA, 0, 2, b"good"))
    assert [event.label for event in link.receive()] == [1, 2]
    assert link.counters.dropped == {DropReason.MALFORMED_LINK: 2}


def test_nobody_but_the_relays_is_heard(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, _ = pair
    with socket.socket(relay.family, socket.SOCK_DGRAM) as stranger:
        for type_ in RecordType:
            stranger.sendto(encode_record(type_, 0, 1, b""), link.socket.getsockname())
        relay.send(encode_record(RecordType.DATA, 0, 2, b"good"))
        assert [event.label for event in link.receive()] == [2]
    assert link.counters.dropped == {DropReason.UNKNOWN_PEER: len(RecordType)}


def test_relays_may_be_added_and_removed(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, _ = pair
    here = link.socket.getsockname()
    old = Endpoint(*relay.getsockname()[:2])
    with socket.socket(relay.family, socket.SOCK_DGRAM) as another:
        another.bind((old.host, 0))
        new = Endpoint(*another.getsockname()[:2])
        for heard in ((old, new), (new,)):
            link.hear(heard)
            for sock in (relay, another):
                sock.sendto(encode_record(RecordType.DATA, 0, 1, b"x"), here)
            assert tuple(event.relay for event in link.receive()) == heard


def test_one_turn_has_a_budget(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, _ = pair
    for first in range(0, BUDGET + 60, 20):
        labels = range(first, first + 20)
        relay.send(b"".join(encode_record(RecordType.DATA, 0, label, b"") for label in labels))
    seen = [event.label for event in link.receive()]
    assert BUDGET - 20 <= len(seen) < BUDGET + 20
    seen += [event.label for event in link.receive()]
    assert seen == list(range(len(seen)))
    assert len(seen) >= BUDGET + 60


def test_empty_datagrams_use_the_budget_up_too(
    pair: tuple[Link, socket.socket, Endpoint],
) -> None:
    link, relay, _ = pair
    for _ in range(150):
        relay.send(b"")
    relay.send(encode_record(RecordType.DATA, 0, 1, b""))
    assert [event.label for event in link.receive()] == [1]


def test_a_batch_is_packed_to_the_mtu_in_order(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, address = pair
    for label in range(20):
        link.queue(SendRecord(address, RecordType.DATA, 0, label, bytes(120)))
    with pytest.raises(BlockingIOError):
        relay.recv(65536)
    link.flush()
    link.flush()
    datagrams = [relay.recv(65536), relay.recv(65536)]
    assert all(len(datagram) <= 1372 for datagram in datagrams)
    labels = [record.label for datagram in datagrams for record in parse_records(datagram)]
    assert labels == list(range(20))
    with pytest.raises(BlockingIOError):
        relay.recv(65536)


def test_what_cannot_be_sent_is_counted(pair: tuple[Link, socket.socket, Endpoint]) -> None:
    link, relay, address = pair
    roomy = Link(link.socket, 1_000_000, (address,))
    roomy.queue(SendRecord(address, RecordType.DATA, 0, 1, bytes(65_520)))
    roomy.queue(SendRecord(address, RecordType.DATA, 0, 2, bytes(65_520)))
    roomy.flush()
    assert roomy.counters.unsent == {DropReason.SEND_TOO_BIG: 2}
    roomy.queue(SendRecord(address, RecordType.FORGET, 0, 3, b""))
    roomy.flush()
    assert [record.label for record in parse_records(relay.recv(65536))] == [3]
