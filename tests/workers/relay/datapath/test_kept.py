"""A flow table that outlives its datapath: what a successor finds, and what it makes of damage."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from config.ids import Endpoint
from tests.workers.relay.datapath.test_datapath import (
    DATA,
    IDLE,
    MAX_FLOWS,
    SRTP,
    STUN,
    Bench,
    Peer,
    make_native,
    route,
)
from workers.relay.core.flowtable import SlotMemory
from workers.relay.core.interface import (
    FlowExpired,
    InstallFlow,
    KnownFlow,
    RemoveFlow,
    RemoveRoute,
    Upcall,
)
from workers.relay.datapath.native import NativeDatapath
from workers.wire.link import encode_record, make_label

# workers/native/kept.h and table.h
PAGE, SLOT = 4096, 64
LAYOUT, CAPACITY, USED, PORT_COUNT, PORTS = 4, 8, 12, 32, 36
SEQUENCE, STATE, GENERATION, CLIENT = 0, 4, 5, 8
INSTALLED = 1
PUNCH_HOLE = 3
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE."""
libc = ctypes.CDLL(None)


class Survivor:
    """Sockets and a table that stay; datapaths that come and go."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.table = os.memfd_create("flows")
        stack.callback(os.close, self.table)
        self.bench = Bench(stack, make_native)
        self.public = [(peer.endpoint, peer.socket) for peer in self.bench.public]
        self.siblings: list[int] = []

    def start(self, capacity: int = MAX_FLOWS) -> NativeDatapath:
        """A datapath on the table, in the place of the last one."""
        datapath = NativeDatapath(
            self.public,
            self.bench.relay_link.socket,
            mtu=65_000,
            idle=IDLE,
            max_flows=capacity,
            table=self.table,
            siblings=self.siblings,
        )
        self.stack.callback(datapath.close)
        self.bench.datapath = datapath
        return datapath

    def reserve(self, slots: int) -> None:
        """As the core does before it tells anybody of the labels."""
        memory = self.memory()
        memory.generations[:slots] = bytes((1,)) * slots
        memory.used[0] = slots

    def memory(self) -> SlotMemory:
        assert self.bench.datapath.memory is not None
        return self.bench.datapath.memory

    def installed(self, slots: int = 3) -> list[int]:
        """Flows of as many clients in as many slots."""
        self.reserve(slots)
        return [self.bench.install(self.bench.clients[n], n, n % 2) for n in range(slots)]

    @property
    def whole(self) -> mmap.mmap:
        return self.stack.enter_context(mmap.mmap(self.table, 0))

    def poke(self, offset: int, data: bytes) -> None:
        self.whole[offset : offset + len(data)] = data

    def poke_slot(self, slot: int, offset: int, data: bytes) -> None:
        self.poke(PAGE + slot * SLOT + offset, data)


@pytest.fixture
def survivor() -> Iterator[Survivor]:
    with ExitStack() as stack:
        it = Survivor(stack)
        it.start()
        yield it


def labels(datapath: NativeDatapath) -> list[int]:
    assert datapath.memory is not None
    return list(datapath.memory.installed)


def test_a_removed_route_takes_all_flows_that_an_earlier_relay_installed(
    survivor: Survivor,
) -> None:
    """It goes little by little and spares later ones, told by numbers that count in one process only."""
    bench, count = survivor.bench, 3000
    survivor.start(8000)
    survivor.reserve(count)

    def install(n: int, owner: int) -> int:
        key = bench.key(bench.clients[0])
        key = key._replace(client=Endpoint(f"10.0.{n >> 8}.{n & 255}", 5000))
        label = make_label(n, 1)
        link = bench.transceivers[owner].endpoint
        bench.datapath.install(InstallFlow(key, label, route(owner), link), bench.now)
        return label

    old = {install(n, owner=0) for n in reversed(range(count))}
    successor = survivor.start(8000)
    successor.remove_route(RemoveRoute(route(0)), bench.now)
    assert 0 < successor.flows < count
    for n in range(5):
        install(count + n, owner=1)
    ended: set[int] = set()
    for _ in range(50):  # what has ended waits for what is more urgent
        ended |= {e.label for e in bench.events() if isinstance(e, FlowExpired)}
        bench.now += 0.03
        successor.sweep(bench.now)
    assert ended == old
    assert successor.flows == 5


def test_a_successor_forwards_what_it_finds(survivor: Survivor) -> None:
    made, bench = survivor.installed(), survivor.bench
    bench.clients[0].send(SRTP, bench.public[0])  # between the two
    second = survivor.start()
    assert labels(second) == made
    assert second.flows == 3
    links = {(route(n), bench.transceivers[n].endpoint) for n in range(2)}
    assert set(second.inherited) == links
    bench.from_client(bench.clients[0])
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, made[0], SRTP)]
    bench.from_transceiver(encode_record(DATA, 0, made[1], SRTP), owner=1)
    assert bench.clients[1].take() == [SRTP]
    bench.from_client(bench.clients[2], STUN)
    known = KnownFlow(made[2], route(0), bench.transceivers[0].endpoint)
    assert bench.events() == [Upcall(bench.key(bench.clients[2]), STUN, known)]


def test_inherited_flows_end_like_others(survivor: Survivor) -> None:
    made, bench = survivor.installed(), survivor.bench
    second = survivor.start()
    second.remove(RemoveFlow(made[0]), bench.now)
    assert bench.events() == [FlowExpired(made[0])]
    bench.now += IDLE + 1
    for _ in range(3):
        second.sweep(bench.now)
    assert bench.events() == [FlowExpired(made[1]), FlowExpired(made[2])]
    assert labels(survivor.start()) == []


def test_tombstones_are_inherited(survivor: Survivor) -> None:
    made, bench = survivor.installed(), survivor.bench
    bench.datapath.remove(RemoveFlow(made[0]), bench.now)
    assert labels(survivor.start()) == made[1:]
    bench.from_client(bench.clients[0], SRTP)
    assert bench.events() == []


def test_generations_and_use_are_inherited(survivor: Survivor) -> None:
    memory = survivor.memory()
    memory.generations[7], memory.used[0] = 99, 9
    survivor.start()
    assert (survivor.memory().generations[7], survivor.memory().used[0]) == (99, 9)


def test_an_empty_table_has_random_generations(survivor: Survivor) -> None:
    assert len(set(survivor.memory().generations)) > 8


@pytest.mark.parametrize("offset", [0, LAYOUT])
def test_another_format_starts_empty(survivor: Survivor, offset: int) -> None:
    survivor.installed()
    survivor.poke(offset, b"\x55")
    assert labels(survivor.start()) == []
    assert survivor.memory().used[0] == 0
    assert set(survivor.memory().generations[:3]) != {1}


@pytest.mark.parametrize("capacity", [16, 200])
def test_another_capacity_starts_empty(survivor: Survivor, capacity: int) -> None:
    survivor.installed()
    size = os.fstat(survivor.table).st_size
    datapath = survivor.start(capacity)
    assert labels(datapath) == []
    assert len(survivor.memory().generations) == capacity
    # It only grows: a sibling may have mapped it.
    assert os.fstat(survivor.table).st_size >= size
    assert survivor.installed()
    assert len(labels(survivor.start(capacity))) == 3


def test_a_torn_slot_is_freed(survivor: Survivor) -> None:
    made = survivor.installed()
    survivor.poke_slot(1, SEQUENCE, b"\x07\x00\x00\x00")
    assert labels(survivor.start()) == [made[0], made[2]]
    survivor.bench.from_client(survivor.bench.clients[1], SRTP)
    assert survivor.bench.events() == [
        Upcall(survivor.bench.key(survivor.bench.clients[1]), SRTP, None)
    ]


def test_of_two_slots_with_one_key_the_first_stays(survivor: Survivor) -> None:
    made = survivor.installed()
    first = PAGE + CLIENT
    survivor.poke_slot(2, CLIENT, survivor.whole[first : first + 18])
    assert labels(survivor.start()) == made[:2]


def test_a_slot_of_another_generation_is_freed(survivor: Survivor) -> None:
    made = survivor.installed()
    survivor.memory().generations[1] += 1  # given out anew, not yet installed
    assert labels(survivor.start()) == [made[0], made[2]]


def test_slots_beyond_the_used_ones_are_free(survivor: Survivor) -> None:
    made = survivor.installed()
    survivor.memory().used[0] = 2
    assert labels(survivor.start()) == made[:2]
    again = survivor.bench.install(survivor.bench.clients[2], 2)
    survivor.bench.from_client(survivor.bench.clients[2], SRTP)
    assert survivor.bench.transceivers[0].take() == [encode_record(DATA, 0, again, SRTP)]


def test_flows_stay_with_their_address_when_the_sockets_are_in_another_order(
    survivor: Survivor,
) -> None:
    bench = survivor.bench
    survivor.reserve(4)
    label, label6 = bench.install(bench.clients[0], 0), bench.install(bench.client6, 3)
    survivor.public.reverse()
    assert labels(survivor.start()) == [label, label6]
    for client in (bench.clients[0], bench.client6):
        client.send(SRTP, bench.public[client is bench.client6])
    for port in (0, 1):
        bench.datapath.pump_public(port, 100, bench.now)
    came = b"".join(bench.transceivers[0].take())
    assert came == b"".join(encode_record(DATA, 0, n, SRTP) for n in (label6, label))
    survivor.public.pop()  # the IPv4 one
    assert labels(survivor.start()) == [label6]


@pytest.mark.parametrize("seed", range(40))
def test_no_memory_whatever_crashes_it(survivor: Survivor, seed: int) -> None:
    """Random bytes behind a good header, then traffic."""
    chaos = random.Random(seed)
    bench = survivor.bench
    survivor.installed()
    whole = survivor.whole
    for _ in range(chaos.choice([1, 10, 2000])):
        whole[chaos.randrange(12, len(whole))] = chaos.randrange(256)
    if seed % 2:
        whole[PAGE:] = chaos.randbytes(len(whole) - PAGE)
        for slot in range(MAX_FLOWS):  # plausible ones
            survivor.poke_slot(slot, SEQUENCE, bytes(4))
            survivor.poke_slot(slot, STATE, bytes([chaos.randrange(4)]))
            survivor.poke_slot(slot, STATE + 2, bytes([chaos.randrange(3), 0]))
        survivor.poke(USED, struct.pack("=I", chaos.choice([MAX_FLOWS, 1 << 31, 5])))
    datapath = survivor.start()
    assert datapath.flows == len(labels(datapath)) == len(set(labels(datapath)))
    for n, client in enumerate(bench.clients):
        bench.from_client(client, SRTP, STUN)
        bench.install(client, chaos.randrange(MAX_FLOWS), n % 2)
        bench.from_client(client, SRTP)
        bench.from_transceiver(encode_record(DATA, 0, chaos.randrange(1 << 14), SRTP))
    for label in labels(datapath):
        datapath.remove(RemoveFlow(label), bench.now)
    while bench.events():
        bench.now += IDLE + 1
        datapath.sweep(bench.now)
    assert datapath.counters.conserved()


# --- siblings -------------------------------------------------------------------------------------


@pytest.fixture
def pair(survivor: Survivor) -> Iterator[tuple[Survivor, Survivor]]:
    """One with flows, and another on the same sockets that may look into its table."""
    with ExitStack() as stack:
        other = Survivor(stack)
        other.bench, other.public = survivor.bench, survivor.public
        other.siblings = [survivor.table]
        yield survivor, other


def stranger(pair: tuple[Survivor, Survivor], client: Peer, datagram: bytes = SRTP) -> Upcall:
    """What the other one says of it."""
    other = pair[1]
    other.bench.from_client(client, datagram)
    (event,) = other.bench.events()
    assert isinstance(event, Upcall)
    return event


def test_media_of_a_siblings_flow_say_where_it_leads(pair: tuple[Survivor, Survivor]) -> None:
    survivor, other = pair
    survivor.installed()
    bench = survivor.bench
    first = bench.datapath
    other.start()
    assert stranger(pair, bench.clients[1]).sibling == route(1)
    assert stranger(pair, bench.clients[1], STUN).sibling is None
    first.remove(RemoveFlow(make_label(1, 1)), bench.now)
    assert stranger(pair, bench.clients[1]).sibling is None
    assert stranger(pair, bench.clients[2]).sibling == route(0)


def test_a_sibling_may_not_have_started_or_start_anew(pair: tuple[Survivor, Survivor]) -> None:
    survivor, other = pair
    bench = survivor.bench
    empty = os.memfd_create("nothing")
    survivor.stack.callback(os.close, empty)
    other.siblings = [empty, survivor.table]
    other.start()
    assert stranger(pair, bench.clients[0]).sibling is None
    for capacity in (MAX_FLOWS, 500, 20):
        first = survivor.start(capacity)
        assert first.memory is not None
        first.memory.generations[0], first.memory.used[0] = 1, 1
        bench.install(bench.clients[0], 0)
        other.start()
        assert stranger(pair, bench.clients[0]).sibling == route(0)


def test_a_sibling_may_come_later_and_its_memory_be_given_back(
    pair: tuple[Survivor, Survivor],
) -> None:
    survivor, other = pair
    first = survivor.start()
    survivor.installed(1)
    other.siblings = []
    other.start()
    client = survivor.bench.clients[0]
    assert stranger(pair, client).sibling is None
    other.bench.datapath.add_sibling(survivor.table)
    assert stranger(pair, client).sibling == route(0)
    size = os.fstat(survivor.table).st_size
    first.close()
    assert libc.fallocate(survivor.table, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(size)) == 0
    assert os.fstat(survivor.table).st_size == size
    assert stranger(pair, client).sibling is None


def test_a_torn_slot_of_a_sibling_does_not_count(pair: tuple[Survivor, Survivor]) -> None:
    survivor, other = pair
    survivor.installed()
    other.start()
    survivor.poke_slot(0, SEQUENCE, b"\x07\x00\x00\x00")
    assert stranger(pair, survivor.bench.clients[0]).sibling is None


def test_the_sibling_that_heard_last_is_right(pair: tuple[Survivor, Survivor]) -> None:
    survivor, other = pair
    survivor.installed()
    bench = survivor.bench
    with ExitStack() as stack:
        third = Survivor(stack)
        third.bench, third.public = bench, survivor.public
        later = third.start()
        assert later.memory is not None
        later.memory.generations[0], later.memory.used[0] = 1, 1
        bench.now += 5
        bench.install(bench.clients[0], 0, owner=1)
        other.siblings = [third.table, survivor.table]
        other.start()
        assert stranger(pair, bench.clients[0]).sibling == route(1)


@pytest.mark.parametrize("seed", range(20))
def test_no_memory_of_a_sibling_crashes_the_reader(
    pair: tuple[Survivor, Survivor], seed: int
) -> None:
    survivor, other = pair
    chaos = random.Random(seed)
    survivor.installed()
    whole = survivor.whole
    other.start()
    for _ in range(20):
        for _ in range(chaos.choice([1, 50, 3000])):
            whole[chaos.randrange(len(whole))] = chaos.randrange(256)
        survivor.poke(0, struct.pack("=III", 0x544E444D, 3, MAX_FLOWS))
        for client in survivor.bench.clients:
            other.bench.from_client(client, SRTP)
        other.bench.events()


def test_an_install_from_the_core_needs_no_sibling(pair: tuple[Survivor, Survivor]) -> None:
    survivor, other = pair
    survivor.installed()
    bench = survivor.bench
    second = other.start()
    key, link = bench.key(bench.clients[0]), bench.transceivers[0].endpoint
    second.install(InstallFlow(key, make_label(5, 5), route(0), link), bench.now)
    bench.from_client(bench.clients[0], SRTP)
    assert bench.transceivers[0].take() == [encode_record(DATA, 0, make_label(5, 5), SRTP)]


def test_sockets_that_are_none_are_refused() -> None:
    with ExitStack() as stack:
        survivor = Survivor(stack)
        public = Peer(stack)
        public.socket.close()
        survivor.public = [(Endpoint("127.0.0.1", 9), public.socket)]
        with pytest.raises(OSError, match="sockets"):
            survivor.start()
