"""Programs that steer: attached to real groups of sockets on loopback."""

from __future__ import annotations

import os
import select
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.steering import (
    BUCKETS,
    Program,
    Steering,
    attach,
    by_cpu,
    by_table,
    detach,
    share_out,
)
from config.model import Steering as Way

CLIENTS = 400
SEED = 0x5EED5EED


class Group:
    """Sockets that share an address, and clients that send to it."""

    def __init__(self, stack: ExitStack, family: socket.AddressFamily, workers: int) -> None:
        host = "127.0.0.1" if family is socket.AF_INET else "::1"

        def bound(port: int, *, shared: bool) -> socket.socket:
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.setblocking(False)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
            return sock

        self.sockets = [bound(0, shared=True)]
        self.address = self.sockets[0].getsockname()
        self.sockets += [bound(self.address[1], shared=True) for _ in range(workers - 1)]
        self.clients = [bound(0, shared=False) for _ in range(CLIENTS)]

    def steered(self) -> list[int]:
        """For each client, the worker that it reaches."""
        where: list[int] = []
        for number, client in enumerate(self.clients):
            client.sendto(number.to_bytes(2, "big"), self.address)
            # A kernel that is busy delivers it later, from a thread of its own.
            (reached,), _, _ = select.select(self.sockets, [], [], 20.0)
            assert reached.recv(64) == number.to_bytes(2, "big")
            where.append(self.sockets.index(reached))
        return where


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    with ExitStack() as stack:
        yield Group(stack, request.param, 4)


def test_a_table_spreads_clients_and_keeps_them(group: Group) -> None:
    attach(group.sockets, by_table(share_out(4), SEED))
    first = group.steered()
    assert all(60 <= count <= 140 for count in Counter(first).values())
    assert set(first) == {0, 1, 2, 3}
    assert group.steered() == first


def test_a_changed_table_moves_only_its_buckets(group: Group) -> None:
    four = share_out(4)
    attach(group.sockets, by_table(four, SEED))
    before = group.steered()
    attach(group.sockets, by_table(share_out(3, four), SEED))
    after = group.steered()
    assert 3 not in after
    assert all(now == was for was, now in zip(before, after, strict=True) if was != 3)
    attach(group.sockets, by_table(share_out(4, share_out(3, four)), SEED))
    moved = sum(now != was for was, now in zip(after, group.steered(), strict=True))
    assert moved <= CLIENTS * 0.4


def test_another_seed_is_another_order(group: Group) -> None:
    attach(group.sockets, by_table(share_out(4), SEED))
    first = group.steered()
    attach(group.sockets, by_table(share_out(4), SEED + 1))
    assert sum(a != b for a, b in zip(first, group.steered(), strict=True)) > CLIENTS / 2


@pytest.mark.parametrize("owners", [[0] * BUCKETS, [n % 4 for n in range(BUCKETS)]])
def test_tables_of_every_shape_are_accepted(group: Group, owners: list[int]) -> None:
    attach(group.sockets, by_table(owners, SEED))
    assert set(group.steered()) == set(owners)


def test_by_cpu_it_is_the_worker_of_the_cpu_that_took_it(group: Group) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    try:
        for cpu in allowed[:2]:
            os.sched_setaffinity(0, {cpu})
            for worker in (3, 1):
                cpus = [10_000] * 4
                cpus[worker] = cpu
                attach(group.sockets, by_cpu(cpus, 4))
                assert set(group.steered()) == {worker}
            attach(group.sockets, by_cpu([], 4))
            assert set(group.steered()) == {cpu % 4}
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("way", Way)
def test_what_the_configuration_can_say(group: Group, way: Way) -> None:
    steering = Steering(way, sorted(os.sched_getaffinity(0)))
    steering.steer(group.sockets, 4)
    reached = set(group.steered())
    assert len(reached) == 4 if way is not Way.CPU else reached <= {0, 1, 2, 3}


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """The kernel does not move us between two datagrams."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.usefixtures("one_cpu")
@pytest.mark.parametrize("way", Way)
def test_who_is_to_be_removed_gets_nothing_more(group: Group, way: Way) -> None:
    steering = Steering(way, sorted(os.sched_getaffinity(0)))
    steering.steer(group.sockets, 4)
    before = group.steered()
    steering.steer(group.sockets, 2)
    shrunk = group.steered()
    assert set(shrunk) <= {0, 1}
    if way is Way.TABLE:
        assert all(now == was for was, now in zip(before, shrunk, strict=True) if was < 2)
    for removed in (3, 2):
        group.sockets.pop(removed).close()
        assert way is Way.HASH or group.steered() == shrunk
    steering.steer(group.sockets, 2)
    assert way is Way.CPU or set(group.steered()) == {0, 1}
    steering.steer(group.sockets, 1)
    group.sockets.pop().close()
    steering.steer(group.sockets, 1)
    assert set(group.steered()) == {0}


def test_the_kernels_hash_is_what_it_was_without_a_program(group: Group) -> None:
    before = group.steered()
    detach(group.sockets)  # there is none: nothing to do
    attach(group.sockets, by_table(share_out(4), SEED))
    assert group.steered() != before
    detach(group.sockets)
    assert group.steered() == before


@pytest.mark.parametrize("way", Way)
def test_a_socket_alone_needs_no_program(way: Way) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alone:
        alone.bind(("127.0.0.1", 0))
        Steering(way, [0]).steer([alone], 1)


def test_a_table_has_256_buckets() -> None:
    with pytest.raises(ValueError, match="256"):
        by_table([0], SEED)


def test_a_program_that_the_kernel_refuses_is_an_error(group: Group) -> None:
    nonsense: Program = [b"\xff" * 8]
    with pytest.raises(OSError, match="Invalid"):
        attach(group.sockets, nonsense)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=8))
def test_buckets_move_only_as_they_must(counts: list[int]) -> None:
    table: tuple[int, ...] = ()
    for workers in counts:
        new = share_out(workers, table)
        assert len(new) == BUCKETS
        sizes = Counter(new)
        assert set(sizes) == set(range(workers))
        assert max(sizes.values()) - min(sizes.values()) <= 1
        # No even table is nearer: who has too many gives, who has too few gets, and nobody else moves.
        moved = sum(a != b for a, b in zip(table, new, strict=False))
        had = Counter(owner for owner in table if owner < workers)
        gone = len(table) - had.total()
        base, more = divmod(BUCKETS, workers)
        rich = sorted(had.values(), reverse=True)
        over = sum(max(0, n - base - (rank < more)) for rank, n in enumerate(rich))
        assert moved == gone + over
        table = new
