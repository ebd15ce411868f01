"""Connections go from one datapath to the next with the bytes under way, and nothing stays open."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import pytest

from ipc.descriptors import close_all
from ipc.parcels import find_parcel, leave_parcel, parcel_pair
from tests.support.tcp_bench import IDLE, LABEL, ROUTE, SRTP, STUN, Bench
from workers.relay.core.connections import VOUCHED_WITHIN, Ending
from workers.relay.core.estate import (
    Estate,
    LeftConnection,
    LeftFlow,
    decode_estate,
    encode_estate,
)
from workers.relay.core.flow import FlowState
from workers.relay.core.flowtable import REST, FlowTable
from workers.relay.core.interface import FlowExpired, KnownFlow, RemoveFlow, Upcall
from workers.relay.datapath import estates
from workers.relay.datapath.estates import leave_estate, take_estate
from workers.wire.framing import encode_frame
from workers.wire.link import make_label


class Handover:
    """A bench, and the pair by which what it serves goes to a successor."""

    def __init__(self, stack: ExitStack) -> None:
        self.bench = Bench(stack)
        self.entry, self.exit = (stack.enter_context(end) for end in parcel_pair())

    def leave(self) -> int:
        """The end of a relay."""
        bench = self.bench
        count, lost = leave_estate(bench.path, self.entry, bench.now)
        assert count + lost <= bench.path.connections
        bench.path.close()
        return count

    def succeed(self, max_flows: int = 5000, listeners: int = 2) -> list[str]:
        """Another one takes over; gives the problems that it has."""
        bench = self.bench
        bench.path = bench.another(max_flows, listeners)
        return take_estate(bench.path, self.exit, bench.now)

    def go_on(self) -> None:
        """Both."""
        left = self.leave()
        assert self.succeed() == []
        assert self.bench.path.taken == left

    def table(self) -> FlowTable:
        """What a core makes of it."""
        assert self.bench.path.memory is not None
        return FlowTable(self.bench.path.memory, self.bench.now)


@pytest.fixture
def handover() -> Iterator[Handover]:
    with ExitStack() as stack:
        made = Handover(stack)
        yield made
        made.bench.pump()
        made.bench.check_laws()


def open_sockets() -> int:
    """Of this process."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the directory itself
            found += str(each.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_session_goes_on_under_its_label(handover: Handover, ipv6: bool) -> None:
    bench = handover.bench
    client = bench.client(ipv6=ipv6)
    bench.settle(client)
    handover.go_on()
    assert (bench.path.flows, bench.path.connections, bench.path.taken) == (1, 1, 1)
    assert bench.path.inherited == ((ROUTE, bench.peer),)
    client.send(SRTP, STUN)
    assert bench.records() == [SRTP]
    known = KnownFlow(LABEL, ROUTE, bench.peer)
    assert bench.events() == [Upcall(client.key, STUN, known)]
    bench.say(LABEL, b"back")
    assert client.take() == [b"back"]
    client.socket.close()
    assert bench.events() == [FlowExpired(LABEL)]


def test_what_came_and_left_meanwhile_is_there(handover: Handover) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    left = handover.leave()
    client.send(SRTP, SRTP + b"2")
    bench.far.sendto(b"\2\0", bench.link.getsockname())  # no record, and nobody reads it yet
    assert handover.succeed() == []
    assert left == 1
    assert bench.records() == [SRTP, SRTP + b"2"]


@pytest.mark.parametrize("read", range(1, 13))
def test_a_frame_may_be_anywhere(handover: Handover, read: int) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    stream = encode_frame(SRTP) + encode_frame(SRTP + b"2")
    client.socket.sendall(stream[:read])
    before = bench.records()
    handover.go_on()
    client.socket.sendall(stream[read:])
    assert before + bench.records() == [SRTP, SRTP + b"2"]


def test_a_frame_that_was_sent_in_part_is_sent_to_its_end(handover: Handover) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    taken: list[bytes] = []
    dropped = bench.path.counters.records_dropped
    for size in range(1200, 2000):  # now and then what there is room for ends with a frame
        before = dropped.total()
        bench.say(LABEL, *[size.to_bytes(2, "big") + bytes(size - 2)] * 20)
        (left,) = [left for left, _ in bench.path.left(bench.now)]
        if left.unsent:
            break
        if dropped.total() > before:
            taken += client.take()
    assert left.unsent
    handover.go_on()
    for _ in range(10_000):
        taken += client.take()
        if taken[-1:] == [b"now"]:
            break
        bench.say(LABEL, b"now")
    assert taken[-1] == b"now"
    whole = [len(each) for each in taken if each != b"now"]
    assert whole == [int.from_bytes(each[:2], "big") for each in taken if each != b"now"]


def test_strangers_have_the_time_that_they_had_left(handover: Handover) -> None:
    bench = handover.bench
    old = bench.client()
    bench.pump()
    bench.later(3)
    young = bench.client()
    bench.pump()
    bench.later(1)
    handover.go_on()
    assert bench.path.connections == 2
    bench.later(VOUCHED_WITHIN - 4)
    assert old.is_closed()
    bench.settle(young)
    bench.later(VOUCHED_WITHIN)
    assert bench.ended == {Ending.NOT_VOUCHED: 1}
    young.send(SRTP)
    assert bench.records() == [SRTP]


def test_what_is_over_is_not_left(handover: Handover) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    bench.path.remove(RemoveFlow(LABEL), bench.now)
    assert handover.leave() == 0
    assert client.is_closed()
    assert handover.succeed() == []
    assert bench.path.connections == 0


def test_who_hung_up_meanwhile_is_noticed(handover: Handover) -> None:
    bench = handover.bench
    clients = [bench.client(), bench.client()]
    for number, client in enumerate(clients):
        bench.settle(client, make_label(number, 1))
    handover.leave()
    clients[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    for client in clients:
        client.socket.close()
    assert handover.succeed() == []
    bench.pump()
    assert (bench.path.taken, bench.ended) == (2, {Ending.LEFT: 2})
    expired = [event for event in bench.events() if isinstance(event, FlowExpired)]
    assert expired == [FlowExpired(make_label(1, 1))]


def test_silence_counts_from_the_last_word_of_the_client(handover: Handover) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    bench.later(IDLE - 1)
    handover.go_on()
    bench.later(2)
    assert bench.events() == [FlowExpired(LABEL)]


def test_new_labels_are_none_that_may_be_on_their_way(handover: Handover) -> None:
    bench = handover.bench
    table = handover.table()
    labels = [table.reserve(bench.now) for _ in range(5)]
    kept = labels[3]
    assert kept is not None
    bench.settle(bench.client(), kept)
    handover.go_on()
    table = handover.table()
    assert (table.assured, table.state(kept)) == (1, FlowState.ASSURED)
    new = [table.reserve(bench.now) for _ in range(100)]
    assert not {label >> 8 for label in new if label} & {label >> 8 for label in labels if label}
    # After their rest they come again, with another generation.
    later = [table.reserve(bench.now + REST) for _ in range(4)]
    assert later == [label + 1 if label & 0xFF < 0xFF else label & ~0xFF
                     for label in labels if label and label != kept]  # fmt: skip


def test_labels_rest_without_any_connection_too(handover: Handover) -> None:
    table = handover.table()
    used = table.reserve(0.0)
    assert handover.leave() == 0
    assert handover.succeed() == []
    new = handover.table().reserve(0.0)
    assert used is not None
    assert new is not None
    assert new >> 8 != used >> 8


def test_the_second_successor_takes_what_the_first_has_not(
    handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies when it has taken the first parcel, which has the slots."""
    monkeypatch.setattr(estates, "MAX_DESCRIPTORS", 1)
    bench = handover.bench
    clients = [bench.client() for _ in range(3)]
    for number, client in enumerate(clients):
        bench.settle(client, make_label(number, 1))
    before = open_sockets()
    assert handover.leave() == 3
    assert open_sockets() == before - 3
    parcel = find_parcel(handover.exit)
    assert parcel is not None
    close_all(parcel.fds)
    assert handover.succeed() == []
    assert bench.path.connections == 2
    assert open_sockets() == before - 1
    closed = [client for client in clients if client.take_or_closed()]
    assert len(closed) == 1
    table = handover.table()
    assert table.assured == 2
    new = [table.reserve(bench.now) for _ in range(10)]
    assert all(label and label >> 8 > 1 for label in new)


def test_who_was_released_and_has_no_successor_goes_on(handover: Handover) -> None:
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    for _ in range(20):
        handover.go_on()
        client.send(SRTP)
        assert bench.records() == [SRTP]


def test_when_there_is_no_room_or_time_the_rest_is_closed(
    handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estates, "MAX_DESCRIPTORS", 1)
    handover.entry.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    bench = handover.bench
    clients = [bench.client() for _ in range(20)]
    strangers = [bench.client() for _ in range(5)]
    for number, client in enumerate(clients):
        bench.settle(client, make_label(number, 1))
    left = handover.leave()
    assert 0 < left < len(clients)
    assert handover.succeed() == []
    assert (bench.path.flows, bench.path.connections) == (left, left)
    assert all(stranger.is_closed() for stranger in strangers)
    monkeypatch.setattr(estates, "LEAVE_WITHIN", 0.0)
    assert handover.leave() == 0
    assert all(client.is_closed() for client in clients)
    handover.succeed()
    assert bench.path.connections == 0


@pytest.mark.parametrize("change", ["listeners", "max_flows"])
def test_what_the_successor_does_not_serve_is_closed(handover: Handover, change: str) -> None:
    bench = handover.bench
    kept, lost = bench.client(), bench.client(ipv6=True)
    bench.settle(kept, make_label(1, 1))
    bench.settle(lost, make_label(40, 1))
    handover.leave()
    handover.succeed(**{change: {"listeners": 1, "max_flows": 40}[change]})
    assert bench.ended == {Ending.NOT_TAKEN: 1}
    assert lost.is_closed()
    kept.send(SRTP)
    assert bench.records() == [SRTP]


def test_nonsense_is_counted_and_nothing_of_it_stays_open(handover: Handover) -> None:
    bench = handover.bench
    client, other = bench.client(), bench.client()
    bench.settle(client)
    bench.settle(other, make_label(2, 1))
    before = open_sockets()
    handover.leave()
    parcel = find_parcel(handover.exit)
    assert parcel is not None
    first, second = decode_estate(parcel.data).connections
    with ExitStack() as stack:
        reader, writer = os.pipe()
        stack.callback(close_all, [reader, writer])
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        unconnected = stack.enter_context(socket.socket())
        good, same = parcel.fds
        stack.callback(close_all, parcel.fds)
        for data, fds in (
            (b"nonsense", [udp.fileno(), reader]),
            (encode_estate(Estate(0.0, (first, first))), [reader, udp.fileno()]),
            (encode_estate(Estate(0.0, (second,))), [unconnected.fileno()]),
            (encode_estate(Estate(0.0, (first,))), []),
            (encode_estate(Estate(0.0)), [reader]),
            (encode_estate(Estate(0.0, (first,), bytes(10_000))), [good]),
            # Another one under the same slot, though its label differs.
            (encode_estate(Estate(0.0, (as_another(second),))), [same]),
        ):
            leave_parcel(handover.entry, data, fds)
        handover.entry.send(b"no parcel")
        problems = handover.succeed()
    assert [problem.partition(":")[0] for problem in problems] == ["an estate", "a parcel"]
    assert (bench.path.taken, bench.path.connections) == (9, 1)
    assert bench.ended == {Ending.NOT_TAKEN: 7, Ending.LEFT: 1}
    assert open_sockets() == before - 1
    assert other.is_closed()
    assert not client.take_or_closed()


def as_another(connection: LeftConnection) -> LeftConnection:
    assert isinstance(connection.flow, LeftFlow)
    flow = msgspec.structs.replace(connection.flow, label=LABEL & ~0xFF)
    return msgspec.structs.replace(connection, flow=flow)


def test_a_connection_that_comes_twice_is_one(handover: Handover) -> None:
    """Not that anybody would; but what is known of labels and of connections must not part."""
    bench = handover.bench
    client = bench.client()
    bench.settle(client)
    handover.leave()
    parcel = find_parcel(handover.exit)
    assert parcel is not None
    (left,) = decode_estate(parcel.data).connections
    again = msgspec.structs.replace(left, flow=None, within=1.0)
    leave_parcel(handover.entry, encode_estate(Estate(0.0, (left, again))), parcel.fds * 2)
    close_all(parcel.fds)
    assert handover.succeed() == []
    assert (bench.path.flows, bench.path.connections) == (0, 1)
    assert handover.table().assured == 1  # until its core hears:
    assert bench.events() == [FlowExpired(LABEL)]


def test_many_routes_are_named_once(handover: Handover) -> None:
    bench = handover.bench
    for number in range(6):
        bench.settle(bench.client(), make_label(number, 1))
    handover.go_on()
    assert bench.path.inherited == ((ROUTE, bench.peer),)
