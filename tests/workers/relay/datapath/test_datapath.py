"""Both datapaths on real loopback sockets, and against a model of three dictionaries.

Loopback UDP is synchronous: what `sendto` returned from is in the receiver's queue, so nothing waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.interface import (
    Event,
    FlowExpired,
    IngressRecord,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
    SendBack,
    SendDatagram,
    SendRecord,
    Upcall,
)
from workers.relay.datapath.base import (
    FLOW_MOST,
    FLOW_UPCALLS,
    RECORD_RING,
    STRANGERS_MEDIA,
    TICKS,
    TOMBSTONE_SILENCE,
    UPCALL_RING,
    Datapath,
)
from workers.relay.datapath.native import NativeDatapath
from workers.relay.datapath.python import PythonDatapath
from workers.wire.demux import FORWARDED
from workers.wire.link import (
    MAX_PAYLOAD,
    ROUTED_PREFIX_LENGTH,
    RecordType,
    encode_record,
    make_label,
    parse_records,
)
from workers.wire.types import DropReason

IDLE = 60.0
MAX_FLOWS = 48
SRTP, DTLS, STUN, NOISE = b"\x80\x6f audio", b"\x16\xfe\xfd hello", b"\x00\x01 check", b"\xff"
DATA = RecordType.DATA


def route(number: int) -> Route:
    return Route(ClusterId(0), TransceiverId(number), Epoch(1))


class Peer:
    """A UDP socket on loopback that we drive by hand."""

    def __init__(self, stack: ExitStack, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.socket = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1" if family is socket.AF_INET else "::1", 0))
        name = self.socket.getsockname()
        self.endpoint = Endpoint(name[0], name[1])

    def send(self, datagram: bytes, to: Peer) -> None:
        self.socket.sendto(datagram, to.endpoint)

    def take(self) -> list[bytes]:
        """Everything that has come."""
        return [datagram for datagram, _ in self.take_from()]

    def take_from(self) -> list[tuple[bytes, Endpoint]]:
        came: list[tuple[bytes, Endpoint]] = []
        while True:
            try:
                datagram, source = self.socket.recvfrom(1 << 16)
            except BlockingIOError:
                return came
            came.append((datagram, Endpoint(source[0], source[1])))


Maker = Callable[..., Datapath]


def make_python(
    stack: ExitStack,
    public: list[tuple[Endpoint, socket.socket]],
    link: socket.socket,
    mtu: int,
    ingress: tuple[Endpoint, socket.socket] | None = None,
    max_flows: int = MAX_FLOWS,
) -> Datapath:
    return PythonDatapath(public, link, mtu=mtu, idle=IDLE, max_flows=max_flows, ingress=ingress)


def make_native(
    stack: ExitStack,
    public: list[tuple[Endpoint, socket.socket]],
    link: socket.socket,
    mtu: int,
    ingress: tuple[Endpoint, socket.socket] | None = None,
    max_flows: int = MAX_FLOWS,
) -> Datapath:
    """Without its thread: the pumps do its work, one round a call."""
    table = os.memfd_create("flows")
    stack.callback(os.close, table)
    datapath = NativeDatapath(
        public, link, mtu=mtu, idle=IDLE, max_flows=max_flows, table=table, ingress=ingress
    )
    stack.callback(datapath.close)
    return datapath


class Far(NamedTuple):
    """A client of a Global Relay, as we know it."""

    relay: Peer
    label: int


class Bench:
    """A datapath with two public sockets (one IPv6), two transceivers and as many clients as asked.

    And a socket for Global Relays, of which there are two.
    """

    def __init__(
        self, stack: ExitStack, make: Maker, *, mtu: int = 65_000, clients: int = 3
    ) -> None:
        self.public = [Peer(stack), Peer(stack, socket.AF_INET6)]
        self.relay_link = Peer(stack)
        self.transceivers = [Peer(stack), Peer(stack)]
        self.clients = [Peer(stack) for _ in range(clients)]
        self.client6 = Peer(stack, socket.AF_INET6)
        public = [(peer.endpoint, peer.socket) for peer in self.public]
        self.ingress = Peer(stack)
        self.globals = [Peer(stack), Peer(stack)]
        ingress = (self.ingress.endpoint, self.ingress.socket)
        self.datapath = make(stack, public, self.relay_link.socket, mtu, ingress)
        # Less than any uptime: what is later than the real clock, a kept table takes for an error.
        self.now = 10.0

    def key(self, client: Peer | Far) -> FlowKey:
        if isinstance(client, Far):
            relay, label = client
            return FlowKey(Transport.UDP, relay.endpoint, self.ingress.endpoint, label)
        local = self.public[client is self.client6].endpoint
        return FlowKey(Transport.UDP, client.endpoint, local)

    def known(self, label: int, owner: int = 0) -> KnownFlow:
        return KnownFlow(label, route(owner), self.transceivers[owner].endpoint)

    def from_global(self, relay: Peer, datagram: bytes) -> None:
        relay.send(datagram, self.ingress)
        self.datapath.pump_public(2, 10_000, self.now)
        assert self.datapath.counters.conserved()

    def install(self, client: Peer | Far, slot: int, owner: int = 0, generation: int = 1) -> int:
        label = make_label(slot, generation)
        link = self.transceivers[owner].endpoint
        self.datapath.install(InstallFlow(self.key(client), label, route(owner), link), self.now)
        return label

    def from_client(self, client: Peer, *datagrams: bytes) -> None:
        public = client is self.client6
        for datagram in datagrams:
            client.send(datagram, self.public[public])
        self.datapath.pump_public(public, 10_000, self.now)
        assert self.datapath.counters.conserved()

    def from_transceiver(self, datagram: bytes, owner: int = 0) -> None:
        self.transceivers[owner].send(datagram, self.relay_link)
        self.datapath.pump_link(10_000)
        assert self.datapath.counters.conserved()

    def events(self) -> list[Event]:
        found: list[Event] = []
        while (event := self.datapath.next_event()) is not None:
            found.append(event)
        assert self.datapath.waiting == 0
        return found


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as it:
        yield it


@pytest.fixture(params=[make_python, make_native])
def make(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture
def bench(stack: ExitStack, make: Maker) -> Bench:
    return Bench(stack, make)


# --- from clients ---------------------------------------------------------------------------------


def test_media_of_an_installed_flow_leave_as_records(bench: Bench) -> None:
    client = bench.clients[0]
    label = bench.install(client, 5)
    bench.from_client(client, SRTP, DTLS)
    expected = encode_record(DATA, 0, label, SRTP) + encode_record(DATA, 0, label, DTLS)
    assert bench.transceivers[0].take_from() == [(expected, bench.relay_link.endpoint)]
    assert bench.events() == []
    assert bench.datapath.counters.forwarded == 2


def test_ipv6_flows_work_alike(bench: Bench) -> None:
    label = bench.install(bench.client6, 1)
    bench.from_client(bench.client6, SRTP, STUN)
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, label, SRTP)]
    assert bench.events() == [Upcall(bench.key(bench.client6), STUN, bench.known(label))]
    bench.from_transceiver(encode_record(DATA, 0, label, SRTP))
    assert bench.client6.take_from() == [(SRTP, bench.public[1].endpoint)]


def test_each_transceiver_gets_its_own(bench: Bench) -> None:
    one, two = bench.clients[:2]
    labels = bench.install(one, 1, owner=0), bench.install(two, 2, owner=1)
    for _ in range(3):
        one.send(SRTP, bench.public[0])
        two.send(DTLS, bench.public[0])
    bench.datapath.pump_public(0, 100, bench.now)
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, labels[0], SRTP) * 3]
    assert bench.transceivers[1].take() == [encode_record(DATA, 0, labels[1], DTLS) * 3]


def test_link_datagrams_keep_within_the_mtu(stack: ExitStack, make: Maker) -> None:
    bench = Bench(stack, make, mtu=1280)
    label = bench.install(bench.clients[0], 1)
    payloads = [SRTP + bytes(n) for n in range(0, 1200, 100)]
    bench.from_client(bench.clients[0], *payloads)
    came = bench.transceivers[0].take()
    assert len(came) > 1
    assert all(len(datagram) <= 1280 for datagram in came)
    records = [record for datagram in came for record in parse_records(datagram)]
    assert [(r.label, bytes(r.payload)) for r in records] == [(label, p) for p in payloads]


@pytest.mark.parametrize("datagram", [STUN, SRTP, DTLS, NOISE])
def test_strangers_go_up(bench: Bench, datagram: bytes) -> None:
    bench.from_client(bench.clients[0], datagram)
    assert bench.events() == [Upcall(bench.key(bench.clients[0]), datagram, None)]


def test_other_datagrams_of_installed_flows_go_up_before_strangers(bench: Bench) -> None:
    known, stranger = bench.clients[:2]
    label = bench.install(known, 1)
    stranger.send(STUN, bench.public[0])
    bench.from_client(known, STUN, NOISE)
    flow = bench.known(label)
    assert bench.events() == [
        Upcall(bench.key(known), STUN, flow),
        Upcall(bench.key(known), NOISE, flow),
        Upcall(bench.key(stranger), STUN, None),
    ]


def test_an_event_knows_the_flow_that_was_installed_while_it_waited(stack: ExitStack) -> None:
    bench = Bench(stack, make_python)
    bench.from_client(bench.clients[0], DTLS)
    label = bench.install(bench.clients[0], 1)
    flow = bench.known(label)
    assert bench.events() == [Upcall(bench.key(bench.clients[0]), DTLS, flow)]


def test_empty_and_oversize_end_here(bench: Bench) -> None:
    bench.install(bench.clients[1], 1)
    for client in bench.clients[:2]:
        bench.from_client(client, b"", bytes([0x80]) * (MAX_PAYLOAD + 1), bytes([0x80]) * 9000)
    assert bench.events() == []
    dropped = bench.datapath.counters.dropped
    assert dropped == {DropReason.EMPTY: 2, DropReason.OVERSIZE: 4}
    bench.from_client(bench.clients[1], bytes([0x80]) * MAX_PAYLOAD)
    assert bench.datapath.counters.forwarded == 1


def test_the_budget_bounds_a_turn(stack: ExitStack) -> None:
    bench = Bench(stack, make_python)
    for _ in range(10):
        bench.clients[0].send(STUN, bench.public[0])
    assert bench.datapath.pump_public(0, 4, bench.now) == 4
    assert bench.datapath.pump_public(0, 100, bench.now) == 6
    assert bench.datapath.pump_public(0, 100, bench.now) == 0


# --- floods ---------------------------------------------------------------------------------------


def test_a_flood_of_strangers_leaves_installed_flows_alone(bench: Bench) -> None:
    known, stranger = bench.clients[:2]
    bench.install(known, 1)
    for _ in range(4):
        bench.from_client(stranger, *[STUN] * 700)
        bench.from_client(known, SRTP, STUN)
    counters = bench.datapath.counters
    assert counters.forwarded == 4
    assert counters.dropped == {DropReason.UPCALLS_FULL: 2800 - UPCALL_RING}
    events = bench.events()
    assert len(events) == UPCALL_RING + 4
    assert all(isinstance(e, Upcall) and e.flow is not None for e in events[:4])


def test_a_flood_of_media_of_strangers_leaves_room_for_checks(bench: Bench) -> None:
    """As after the death of another host: its clients' media, and among them the checks that heal."""
    noise, client = bench.clients[:2]
    bench.from_client(noise, *[SRTP] * 700)
    bench.from_client(client, *[STUN] * 600)
    assert bench.datapath.counters.dropped == {
        DropReason.UPCALLS_FULL: 1300 - UPCALL_RING,
    }
    datagrams = [event.datagram for event in bench.events() if isinstance(event, Upcall)]
    assert datagrams == [SRTP] * STRANGERS_MEDIA + [STUN] * (UPCALL_RING - STRANGERS_MEDIA)
    bench.from_client(noise, SRTP)
    assert len(bench.events()) == 1


def test_an_installed_flow_cannot_crowd_out_another(bench: Bench) -> None:
    loud, quiet = bench.clients[:2]
    bench.install(loud, 1)
    bench.install(quiet, 2)
    bench.from_client(loud, *[STUN] * 100)
    bench.from_client(quiet, STUN)
    assert bench.datapath.counters.dropped == {DropReason.UPCALLS_FULL: 100 - FLOW_UPCALLS}
    assert len(bench.events()) == FLOW_UPCALLS + 1
    bench.from_client(loud, STUN)
    assert len(bench.events()) == 1


def test_a_flow_has_a_share_of_each_tick_and_takes_none_of_anothers(bench: Bench) -> None:
    """Checks are no part of it: whoever floods in a client's name must not end its session."""
    loud, quiet = bench.clients[:2]
    bench.install(loud, 1)
    bench.install(quiet, 2)
    bench.from_client(loud, *[SRTP] * (FLOW_MOST - 1), *[DTLS] * 41, STUN)
    bench.from_client(quiet, SRTP)
    counters = bench.datapath.counters
    assert counters.forwarded == FLOW_MOST + 1
    assert counters.dropped == {DropReason.FLOW_LIMIT: 40}
    assert len(bench.events()) == 1
    bench.now += 1 / TICKS
    bench.from_client(loud, STUN, *[SRTP] * (FLOW_MOST + 7))
    assert bench.datapath.counters.forwarded == 2 * FLOW_MOST + 1
    assert bench.datapath.counters.dropped == {DropReason.FLOW_LIMIT: 47}


def test_the_share_is_the_flows_and_not_its_slots(bench: Bench) -> None:
    first, second = bench.clients[:2]
    bench.install(first, 1)
    bench.from_client(first, *[SRTP] * (FLOW_MOST + 1))
    bench.install(second, 1, generation=2)
    bench.from_client(second, SRTP)
    assert bench.datapath.counters.forwarded == FLOW_MOST + 1


def test_a_flood_of_records_is_bounded(bench: Bench) -> None:
    stray = encode_record(DATA, 0, make_label(9, 9), b"x")
    for _ in range(3):
        bench.from_transceiver(stray * 2000)
    counters = bench.datapath.counters
    assert counters.raised == RECORD_RING
    assert counters.records_dropped == {DropReason.QUEUE_FULL: 6000 - RECORD_RING}


# --- from transceivers ----------------------------------------------------------------------------


def test_records_reach_the_client_from_the_flows_address(bench: Bench) -> None:
    client = bench.clients[0]
    label = bench.install(client, 5)
    bench.from_transceiver(
        encode_record(DATA, 0, label, SRTP) + encode_record(DATA, 0x03, label, DTLS)
    )
    relay = bench.public[0].endpoint
    assert client.take_from() == [(SRTP, relay), (DTLS, relay)]
    assert bench.datapath.counters.returned == 2


@pytest.mark.parametrize(
    ("type_", "slot", "generation", "owner", "payload"),
    [
        (RecordType.DATA, 5, 2, 0, b"x"),  # another generation
        (RecordType.DATA, 6, 1, 0, b"x"),  # another slot
        (RecordType.DATA, 0xFFFFFF, 1, 0, b"x"),
        (RecordType.DATA, 5, 1, 1, b"x"),  # another peer
        (RecordType.DATA, 5, 1, 0, b""),
        (RecordType.FORGET, 5, 1, 0, b""),
        (RecordType.UNKNOWN, 5, 1, 0, b""),
        (RecordType.INTRO, 5, 1, 0, b"x"),
    ],
)
def test_other_records_go_up(
    bench: Bench, type_: RecordType, slot: int, generation: int, owner: int, payload: bytes
) -> None:
    mine = bench.install(bench.clients[0], 5)
    bench.install(bench.clients[1], 7, owner=1)
    label = make_label(slot, generation)
    bench.from_transceiver(encode_record(type_, 1, label, payload), owner)
    peer = bench.transceivers[owner].endpoint
    flow = bench.key(bench.clients[0]) if label == mine and owner == 0 else None
    assert bench.events() == [LinkRecord(peer, type_, 1, label, payload, flow)]
    assert bench.clients[0].take() == []


@pytest.mark.parametrize("type_", [RecordType.DATA, RecordType.FORGET])
def test_a_record_right_behind_the_one_that_installs_meets_its_flow(
    bench: Bench, type_: RecordType
) -> None:
    """As a transceiver sends them: the ASSURED response and, in the same datagram, its own check."""
    client, label = bench.clients[0], make_label(5, 1)
    bench.from_transceiver(
        encode_record(DATA, 1, label, b"assured") + encode_record(type_, 0, label, b"check")
    )
    bench.from_transceiver(encode_record(type_, 0, label, b"forged"), owner=1)
    first = bench.datapath.next_event()
    assert isinstance(first, LinkRecord)
    assert first.flow is None
    bench.install(client, 5)
    ours, theirs = (peer.endpoint for peer in bench.transceivers)
    assert bench.events() == [
        LinkRecord(ours, type_, 0, label, b"check", bench.key(client)),
        LinkRecord(theirs, type_, 0, label, b"forged", None),
    ]


@pytest.mark.parametrize("rest", [b"\x01", b"\x01\x00\x00\x05\x00\x00\x00\x00abcd", b"\x09" * 8])
def test_a_malformed_rest_is_dropped_and_the_good_before_it_kept(bench: Bench, rest: bytes) -> None:
    label = bench.install(bench.clients[0], 5)
    bench.from_transceiver(encode_record(DATA, 0, label, SRTP) + rest)
    assert bench.clients[0].take() == [SRTP]
    assert bench.datapath.counters.records_dropped == {DropReason.MALFORMED_LINK: 1}


def test_sends_that_the_network_refuses_are_counted(bench: Bench) -> None:
    # Sources that spoofed datagrams may have: port 0, broadcast.
    for slot, host_port in enumerate([("127.0.0.1", 0), ("255.255.255.255", 9)]):
        key = bench.key(bench.clients[0])._replace(client=Endpoint(*host_port))
        label = make_label(slot, 1)
        link = bench.transceivers[0].endpoint
        bench.datapath.install(InstallFlow(key, label, route(0), link), bench.now)
        bench.from_transceiver(encode_record(DATA, 0, label, SRTP))
        bench.datapath.outbox.send_datagram(SendDatagram(key, SRTP))
    counters = bench.datapath.counters
    assert counters.records_dropped.total() == bench.datapath.outbox.unsent.total() == 2


# --- what the core says ---------------------------------------------------------------------------


def test_core_records_leave_packed_with_flush(bench: Bench) -> None:
    to = bench.transceivers[0]
    for label in (1, 2):
        bench.datapath.outbox.send_record(
            SendRecord(to.endpoint, RecordType.INTRO, 0, label, b"intro")
        )
    assert to.take() == []
    bench.datapath.outbox.flush()
    expected = [encode_record(RecordType.INTRO, 0, label, b"intro") for label in (1, 2)]
    assert to.take() == [b"".join(expected)]


def test_core_datagrams_leave_at_once_from_the_right_address(bench: Bench) -> None:
    for client in (bench.clients[0], bench.client6):
        bench.datapath.outbox.send_datagram(SendDatagram(bench.key(client), b"answer"))
        assert client.take_from() == [(b"answer", bench.key(client).local)]


# --- the table ------------------------------------------------------------------------------------


def test_a_removed_flow_leaves_a_tombstone(bench: Bench) -> None:
    client = bench.clients[0]
    label = bench.install(client, 1)
    bench.datapath.remove(RemoveFlow(label), bench.now)
    bench.datapath.remove(RemoveFlow(label), bench.now)
    assert bench.events() == [FlowExpired(label)]
    bench.from_client(client, SRTP, STUN, NOISE)
    assert bench.events() == [Upcall(bench.key(client), STUN, None)]
    assert bench.datapath.counters.dropped == {DropReason.TOMBSTONE: 2}
    bench.from_transceiver(encode_record(DATA, 0, label, SRTP))
    assert client.take() == []


def test_a_tombstone_lasts_until_silence(bench: Bench) -> None:
    client = bench.clients[0]
    bench.datapath.remove(RemoveFlow(bench.install(client, 1)), bench.now)
    bench.events()
    for _ in range(3):
        bench.now += TOMBSTONE_SILENCE - 1
        bench.datapath.sweep(bench.now)
        bench.from_client(client, SRTP)
    assert bench.events() == []
    bench.now += TOMBSTONE_SILENCE + 1
    bench.datapath.sweep(bench.now)
    bench.from_client(client, SRTP)
    assert len(bench.events()) == 1


def test_an_install_clears_the_tombstone(bench: Bench) -> None:
    client = bench.clients[0]
    bench.datapath.remove(RemoveFlow(bench.install(client, 1)), bench.now)
    bench.install(client, 2)
    bench.from_client(client, SRTP)
    assert len(bench.transceivers[0].take()) == 1


def test_tombstones_are_bounded(stack: ExitStack) -> None:
    bench = Bench(stack, make_python, clients=60)
    for slot, client in enumerate(bench.clients):
        bench.datapath.remove(RemoveFlow(bench.install(client, slot)), bench.now)
    bench.events()
    for client in bench.clients:
        bench.from_client(client, SRTP)
    assert bench.datapath.counters.dropped == {DropReason.TOMBSTONE: MAX_FLOWS}


def test_another_flow_with_the_same_key_replaces_it(bench: Bench) -> None:
    client = bench.clients[0]
    old, new = bench.install(client, 1, owner=0), bench.install(client, 2, owner=0)
    assert bench.events() == [FlowExpired(old)]
    bench.from_client(client, SRTP)
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, new, SRTP)]
    bench.from_transceiver(encode_record(DATA, 0, new, SRTP))
    assert client.take() == [SRTP]
    assert bench.datapath.flows == 1


def test_a_removed_route_takes_its_flows_only(bench: Bench) -> None:
    labels = [bench.install(c, n, owner=n % 2) for n, c in enumerate(bench.clients)]
    bench.datapath.remove_route(RemoveRoute(route(0)), bench.now)
    assert bench.events() == [FlowExpired(labels[0]), FlowExpired(labels[2])]
    assert bench.datapath.flows == 1


def test_a_route_goes_little_by_little_and_what_comes_after_it_stays(
    stack: ExitStack, make: Maker
) -> None:
    bench = Bench(stack, partial(make, max_flows=8_000))
    link = bench.transceivers[0].endpoint

    def install(client: int, slot: int, owner: int = 0) -> int:
        host = f"10.0.{client >> 8}.{client & 255}"
        key = bench.key(bench.clients[0])._replace(client=Endpoint(host, 5000))
        label = make_label(slot, 1)
        bench.datapath.install(InstallFlow(key, label, route(owner), link), bench.now)
        return label

    removed = [install(n, n, owner=0) for n in range(4000)]
    others = [install(4000 + n, 4000 + n, owner=1) for n in range(100)]
    bench.datapath.remove_route(RemoveRoute(route(0)), bench.now)
    assert len(others) < bench.datapath.flows < 4100
    newcomer = bench.install(bench.clients[0], 5000)
    install(3999, 5001)  # the last of the old ones, back before it has gone
    install(4050, 5002)
    ended: list[Event] = []
    for _ in range(50):
        ended += bench.events()
        bench.now += 0.03
        bench.datapath.sweep(bench.now)
    assert {e.label for e in ended if isinstance(e, FlowExpired)} == {*removed, others[50]}
    assert len(ended) == 4001
    assert bench.datapath.flows == 99 + 3
    bench.from_client(bench.clients[0], SRTP)
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, newcomer, SRTP)]


def test_what_ends_in_masses_keeps_nobody_waiting(stack: ExitStack) -> None:
    bench = Bench(stack, partial(make_native, max_flows=8_000))
    link = bench.transceivers[0].endpoint
    for n in range(6000):
        client = Endpoint(f"10.0.{n >> 8}.{n & 255}", 5000)
        key = bench.key(bench.clients[0])._replace(client=client)
        label = make_label(n, 1)
        bench.datapath.install(InstallFlow(key, label, route(0), link), bench.now)
    bench.now += IDLE + 1
    for _ in range(10):
        bench.now += 0.03
        bench.datapath.sweep(bench.now)
    bench.from_client(bench.clients[1], STUN)
    bench.from_transceiver(encode_record(RecordType.INTRO, 0, 7, b"answer"))
    assert bench.datapath.counters.upcalled == bench.datapath.counters.raised == 1
    soon = [bench.datapath.next_event() for _ in range(600)]
    assert Upcall(bench.key(bench.clients[1]), STUN, None) in soon
    assert any(isinstance(event, LinkRecord) for event in soon)


def test_silent_flows_are_swept_and_live_ones_stay(bench: Bench) -> None:
    silent, live = bench.clients[:2]
    label, _ = bench.install(silent, 1), bench.install(live, 2)
    bench.now += IDLE - 1
    bench.from_client(live, STUN)  # checks alone keep a flow
    bench.now += 2
    bench.datapath.sweep(bench.now)
    assert [e for e in bench.events() if isinstance(e, FlowExpired)] == [FlowExpired(label)]
    assert bench.datapath.flows == 1


@pytest.mark.parametrize("end", ["route", "remove", "silence", "replace"])
def test_every_label_is_given_back_once_though_the_ring_is_full(bench: Bench, end: str) -> None:
    labels = [bench.install(client, n) for n, client in enumerate(bench.clients)]
    stray = encode_record(DATA, 0, make_label(9, 9), b"x")
    for _ in range(3):
        bench.from_transceiver(stray * 2000)
    match end:
        case "route":
            bench.datapath.remove_route(RemoveRoute(route(0)), bench.now)
        case "remove":
            for label in labels:
                bench.datapath.remove(RemoveFlow(label), bench.now)
        case "silence":
            bench.now += IDLE + 1
            bench.datapath.sweep(bench.now)
        case _:
            for n, client in enumerate(bench.clients):
                bench.install(client, 10 + n)
    ended: list[int] = []
    for _ in range(4):
        ended += [event.label for event in bench.events() if isinstance(event, FlowExpired)]
        bench.now += 1
        bench.datapath.sweep(bench.now)
    assert len(ended) == len(set(ended))
    # With no room to say that the old one has ended, the native one may give back the new one instead.
    slots = {label >> 8 for label in ended}
    assert len(slots) == 3
    assert all({n, 10 + n} & slots for n in range(3)) if end == "replace" else slots == {0, 1, 2}


def test_a_flood_of_everything_starves_no_installed_flow(bench: Bench) -> None:
    calm, loud = bench.clients[:2]
    label = bench.install(calm, 1)
    buried = bench.install(bench.clients[2], 2)
    bench.datapath.remove(RemoveFlow(buried), bench.now)
    bench.events()
    stray = encode_record(RecordType.UNKNOWN, 0, make_label(9, 9), b"")
    for _ in range(5):
        bench.from_client(loud, *[STUN, NOISE, SRTP] * 200)
        bench.from_client(bench.clients[2], *[SRTP] * 200)
        bench.from_client(bench.client6, *[STUN] * 100)
        bench.from_transceiver(stray * 2000)
        bench.from_client(calm, SRTP, STUN)
        bench.from_transceiver(encode_record(DATA, 0, label, SRTP))
        assert calm.take() == [SRTP]
        assert bench.transceivers[0].take() == [encode_record(DATA, 0, label, SRTP)]
    known = [event for event in bench.events() if isinstance(event, Upcall) and event.flow]
    assert len(known) == 5
    assert bench.datapath.counters.dropped[DropReason.TOMBSTONE] == 1000


# --- with Global Relays ---------------------------------------------------------------------------

FAR = 0xFFFFFF07
"""Any label is as good as another: they are the Global Relay's."""


def test_a_record_of_a_global_relay_changes_its_label_and_no_more(bench: Bench) -> None:
    first, second = Far(bench.globals[0], FAR), Far(bench.globals[1], FAR)
    labels = [bench.install(first, 1, owner=0), bench.install(second, 2, owner=1)]
    for n, far in enumerate((first, second)):
        bench.from_global(far.relay, encode_record(DATA, 3, FAR, SRTP) * 2)
        expected = encode_record(DATA, 0, labels[n], SRTP) * 2
        assert bench.transceivers[n].take_from() == [(expected, bench.relay_link.endpoint)]
        bench.from_transceiver(encode_record(DATA, 3, labels[n], DTLS) * 2, n)
        expected = encode_record(DATA, 3, FAR, DTLS) * 2  # flags and all
        assert far.relay.take_from() == [(expected, bench.ingress.endpoint)]
    assert bench.events() == []
    assert (bench.datapath.counters.forwarded, bench.datapath.counters.returned) == (4, 4)


def test_of_two_clients_of_a_global_relay_each_has_its_own_share(bench: Bench) -> None:
    relay = bench.globals[0]
    for slot in (1, 2):
        bench.install(Far(relay, slot), slot)
    loud, quiet = (encode_record(DATA, 0, label, SRTP) for label in (1, 2))
    bench.from_global(relay, loud * (FLOW_MOST + 3) + quiet)
    counters = bench.datapath.counters
    assert (counters.forwarded, counters.dropped) == (FLOW_MOST + 1, {DropReason.FLOW_LIMIT: 3})


def test_what_a_global_relay_says_otherwise_goes_up(bench: Bench) -> None:
    far, stranger = Far(bench.globals[0], FAR), Far(bench.globals[1], FAR)
    label = bench.install(far, 1)
    routed = encode_record(RecordType.ROUTED, 0, FAR, bytes(ROUTED_PREFIX_LENGTH) + STUN)
    echo = encode_record(RecordType.ECHO, 0, 5, b"")
    bench.from_global(stranger.relay, routed + encode_record(DATA, 0, FAR, SRTP) + echo)
    bench.from_global(far.relay, routed)
    payload = bytes(ROUTED_PREFIX_LENGTH) + STUN
    assert bench.events() == [
        IngressRecord(bench.key(far), RecordType.ROUTED, payload, bench.known(label)),
        IngressRecord(bench.key(stranger), RecordType.ROUTED, payload, None),
        IngressRecord(bench.key(stranger), DATA, SRTP, None),
        IngressRecord(bench.key(Far(stranger.relay, 5)), RecordType.ECHO, b"", None),
    ]
    bench.datapath.outbox.send_back(SendBack(bench.key(stranger), RecordType.UNKNOWN, 0, b""))
    answer = encode_record(RecordType.UNKNOWN, 0, FAR, b"")
    assert stranger.relay.take_from() == [(answer, bench.ingress.endpoint)]


def test_a_global_relay_that_talks_nonsense_is_counted(bench: Bench) -> None:
    label = bench.install(Far(bench.globals[0], FAR), 1)
    good = encode_record(DATA, 0, FAR, SRTP)
    long = ROUTED_PREFIX_LENGTH + MAX_PAYLOAD
    for damage in (
        b"\1",
        good[:-1],
        b"\0" + good[1:],
        b"\7" + good[1:],
        encode_record(DATA, 0, FAR, b""),
        encode_record(DATA, 0, FAR, bytes(MAX_PAYLOAD + 1)),
        encode_record(RecordType.ROUTED, 0, FAR, bytes(long + 1)),
    ):
        bench.from_global(bench.globals[0], good + damage)
    assert b"".join(bench.transceivers[0].take()) == encode_record(DATA, 0, label, SRTP) * 7
    assert bench.events() == []
    assert bench.datapath.counters.dropped == {
        DropReason.MALFORMED_LINK: 4,
        DropReason.EMPTY: 1,
        DropReason.OVERSIZE: 2,
    }
    bench.from_global(bench.globals[0], encode_record(RecordType.ROUTED, 0, FAR, bytes(long)))
    assert len(bench.events()) == 1


def test_the_way_to_a_global_relay_keeps_to_the_mtu(stack: ExitStack, make: Maker) -> None:
    bench = Bench(stack, make, mtu=1372)
    far = Far(bench.globals[0], FAR)
    label = bench.install(far, 1)
    payload = b"\x80" * 600
    for _ in range(5):
        bench.transceivers[0].send(encode_record(DATA, 0, label, payload) * 2, bench.relay_link)
    bench.datapath.pump_link(10_000)
    assert [len(datagram) for datagram in far.relay.take()] == [1216] * 5
    for _ in range(5):
        far.relay.send(encode_record(DATA, 0, FAR, payload) * 2, bench.ingress)
    bench.datapath.pump_public(2, 10_000, bench.now)
    assert [len(datagram) for datagram in bench.transceivers[0].take()] == [1216] * 5


def test_more_records_than_fit_into_a_batch_all_arrive(bench: Bench) -> None:
    labels = {}
    for n in range(40):
        labels[n] = bench.install(Far(bench.globals[n % 2], n), n, owner=n % 2)
    datagram = b"".join(encode_record(DATA, 0, n, b"%d" % n) for n in range(0, 40, 2)) * 100
    bench.from_global(bench.globals[0], datagram)
    came = b"".join(bench.transceivers[0].take())
    assert [r.label for r in parse_records(came)] == [labels[n] for n in range(0, 40, 2)] * 100
    back = b"".join(encode_record(DATA, 0, labels[n], b"%d" % n) for n in range(0, 40, 2)) * 100
    bench.from_transceiver(back)
    assert b"".join(bench.globals[0].take()) == datagram


def test_a_raised_flow_goes_up_until_it_is_installed_again(bench: Bench) -> None:
    client, other = bench.clients[:2]
    label, calm = bench.install(client, 1), bench.install(other, 2, owner=1)
    bench.datapath.raise_flow(RaiseFlow(label))
    bench.datapath.raise_flow(RaiseFlow(make_label(9, 9)))
    bench.from_client(client, SRTP)
    assert bench.events() == [Upcall(bench.key(client), SRTP, bench.known(label))]
    bench.from_transceiver(encode_record(DATA, 0, label, DTLS))
    assert client.take() == [DTLS]  # the way back is as it was
    link = bench.transceivers[1].endpoint
    bench.datapath.install(InstallFlow(bench.key(client), label, route(0), link), bench.now)
    bench.from_client(client, SRTP)
    assert bench.transceivers[1].take() == [encode_record(DATA, 0, label, SRTP)]
    bench.from_transceiver(encode_record(DATA, 0, label, DTLS), owner=0)
    assert client.take() == []
    assert [type(event) for event in bench.events()] == [LinkRecord]
    assert bench.datapath.flows == 2
    bench.datapath.raise_flows(RaiseFlows(link))
    bench.from_client(client, SRTP)
    bench.from_client(other, SRTP)
    known = KnownFlow(label, route(0), link)
    assert bench.events() == [
        Upcall(bench.key(client), SRTP, known),
        Upcall(bench.key(other), SRTP, bench.known(calm, 1)),
    ]
    bench.datapath.remove(RemoveFlow(label), bench.now)
    assert bench.events() == [FlowExpired(label)]


# --- against a model ------------------------------------------------------------------------------

payloads = st.sampled_from(
    [SRTP, DTLS, STUN, NOISE, b"", b"\x80" * MAX_PAYLOAD, b"\x80" * (MAX_PAYLOAD + 1)]
)
steps = st.one_of(
    st.tuples(st.just("client"), st.integers(0, 6), payloads),
    st.tuples(
        st.just("record"), st.integers(0, 1), st.integers(0, 3), st.sampled_from([SRTP, b""])
    ),
    st.tuples(st.just("install"), st.integers(0, 6), st.integers(0, 1)),
    st.tuples(st.just("again"), st.integers(0, 6), st.integers(0, 1)),
    st.tuples(st.just("raise"), st.integers(0, 3), st.none()),
    st.tuples(st.just("raise all"), st.integers(0, 1), st.none()),
    st.tuples(st.just("remove"), st.integers(0, 3), st.none()),
    st.tuples(st.just("route"), st.integers(0, 1), st.none()),
    st.tuples(st.just("later"), st.integers(0, 40), st.none()),
)


@pytest.mark.parametrize("make_one", [make_python, make_native])
@settings(max_examples=60, deadline=None)
@given(script=st.lists(steps, max_size=40))
def test_it_does_what_three_dictionaries_do(
    make_one: Maker, script: list[tuple[object, ...]]
) -> None:
    with ExitStack() as stack:
        bench = Bench(stack, make_one)
        far = [Far(bench.globals[n % 2], FAR - n // 2) for n in range(3)]
        everyone: list[Peer | Far] = [*bench.clients, bench.client6, *far]
        raised: set[int] = set()
        flows: dict[int, tuple[int, int]] = {}  # label -> client, where it leads
        routes: dict[int, int] = {}  # label -> owner
        labels: dict[int, int] = {}  # client -> label
        seen: dict[int, float] = {}
        buried: dict[int, float] = {}
        made: list[int] = []
        ended: list[int] = []

        def take_out(label: int, bury: bool = True) -> None:
            client, _ = flows.pop(label)
            del labels[client]
            ended.append(label)
            if bury:
                buried[client] = bench.now

        for step in script:
            forwarded: list[tuple[int, bytes]] = []
            expected: list[Event] = []
            returned: list[tuple[int, bytes]] = []
            match step:
                case ("client", int() as client, bytes() as datagram):
                    who = everyone[client]
                    kind = RecordType.ROUTED if datagram == STUN else DATA
                    if isinstance(who, Far):
                        bench.from_global(who.relay, encode_record(kind, 0, who.label, datagram))
                    else:
                        bench.from_client(who, datagram)
                    label = labels.get(client)
                    if 0 < len(datagram) <= MAX_PAYLOAD:
                        passes = FORWARDED[datagram[0]] if isinstance(who, Peer) else kind is DATA
                        passes = passes and label not in raised
                        if label is not None:
                            seen[client] = bench.now
                        if label is not None and passes:
                            record = encode_record(DATA, 0, label, datagram)
                            forwarded.append((flows[label][1], record))
                        elif client in buried and datagram != STUN:
                            buried[client] = bench.now
                        else:
                            known = None
                            if label:
                                link = bench.transceivers[flows[label][1]].endpoint
                                known = KnownFlow(label, route(routes[label]), link)
                            key = bench.key(who)
                            expected.append(
                                Upcall(key, datagram, known)
                                if isinstance(who, Peer)
                                else IngressRecord(key, kind, datagram, known)
                            )
                case ("record", int() as owner, int() as back, bytes() as payload):
                    label = made[-1 - back] if back < len(made) else make_label(99, 1)
                    bench.from_transceiver(encode_record(DATA, 0, label, payload), owner)
                    client, owns = flows.get(label, (-1, -1))
                    if owns == owner and payload:
                        returned.append((client, payload))
                    else:
                        key = bench.key(everyone[client])
                        peer = bench.transceivers[owner].endpoint
                        expected.append(
                            LinkRecord(
                                peer, DATA, 0, label, payload, key if owns == owner else None
                            )
                        )
                case ("install", int() as client, int() as owner):
                    label = bench.install(everyone[client], len(made), owner)
                    if client in labels:
                        take_out(labels[client], bury=False)
                    made.append(label)
                    flows[label], labels[client], routes[label] = (client, owner), label, owner
                    seen[client] = bench.now
                    buried.pop(client, None)
                case ("again", int() as client, int() as owner) if client in labels:
                    label = labels[client]
                    link = bench.transceivers[owner].endpoint
                    key = bench.key(everyone[client])
                    again = InstallFlow(key, label, route(routes[label]), link)
                    bench.datapath.install(again, bench.now)
                    flows[label] = (client, owner)
                    seen[client] = bench.now
                    raised.discard(label)
                case ("raise", int() as back, None) if back < len(made):
                    bench.datapath.raise_flow(RaiseFlow(made[-1 - back]))
                    raised |= {made[-1 - back]} & flows.keys()
                case ("raise all", int() as owner, None):
                    bench.datapath.raise_flows(RaiseFlows(bench.transceivers[owner].endpoint))
                    raised |= {label for label, (_, leads) in flows.items() if leads == owner}
                case ("remove", int() as back, None) if back < len(made):
                    bench.datapath.remove(RemoveFlow(made[-1 - back]), bench.now)
                    if made[-1 - back] in flows:
                        take_out(made[-1 - back])
                case ("route", int() as owner, None):
                    bench.datapath.remove_route(RemoveRoute(route(owner)), bench.now)
                    for label in [n for n in flows if routes[n] == owner]:
                        take_out(label)
                case ("later", int() as seconds, None):
                    bench.now += seconds
                    bench.datapath.sweep(bench.now)
                    for label, (client, _) in list(flows.items()):
                        if bench.now - seen[client] > IDLE:
                            take_out(label, bury=False)
                    for client, hit in list(buried.items()):
                        if bench.now - hit > TOMBSTONE_SILENCE:
                            del buried[client]
                case _:
                    pass
            events = bench.events()
            assert {e.label for e in events if isinstance(e, FlowExpired)} == set(ended)
            assert [e for e in events if not isinstance(e, FlowExpired)] == expected
            for n, transceiver in enumerate(bench.transceivers):
                assert transceiver.take() == [data for owner, data in forwarded if owner == n]
            for n, peer_ in enumerate(everyone):
                if isinstance(peer_, Peer):
                    assert peer_.take() == [data for client, data in returned if client == n]
            for relay in bench.globals:
                assert relay.take() == [
                    encode_record(DATA, 0, who.label, data)
                    for who, data in [(everyone[client], data) for client, data in returned]
                    if isinstance(who, Far) and who.relay is relay
                ]
            assert bench.datapath.flows == len(flows)
            ended.clear()
