"""Sockets and memory come with the assignment; more memory comes later, until the supervisor is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
import trio

from config.ids import Endpoint
from ipc.handover import assignment_pair, send_siblings
from ipc.messages.lifecycle import Descriptor, DescriptorKind
from workers.holdings import Holdings

NOWHERE = Endpoint("", 0)
BOUND = Endpoint("192.0.2.1", 3478)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = assignment_pair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def memory() -> Iterator[list[int]]:
    fds = [os.memfd_create(f"table {n}") for n in range(4)]
    yield fds
    for fd in fds:
        os.close(fd)


def test_each_descriptor_is_what_the_assignment_says(memory: list[int]) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kinds = [DescriptorKind.SIBLING, DescriptorKind.TABLE, DescriptorKind.SIBLING]
    descriptors = [Descriptor(kind, NOWHERE) for kind in kinds]
    descriptors.insert(1, Descriptor(DescriptorKind.PUBLIC, BOUND))
    first, own, last, _ = memory
    holdings = Holdings(descriptors, [first, udp.detach(), own, last])
    ((endpoint, public),) = holdings.sockets(DescriptorKind.PUBLIC)
    with public:
        assert endpoint == BOUND  # of what it will be bound to: it is not yet
        assert not public.getblocking()
    assert holdings.sockets(DescriptorKind.LINK) == []
    assert holdings.table() == own
    assert holdings.sibling_tables() == [first, last]
    assert Holdings((), ()).table() is None


async def test_more_siblings_come_while_there_is_a_supervisor(
    pair: tuple[socket.socket, socket.socket], memory: list[int]
) -> None:
    ours, theirs = pair
    holdings = Holdings((), (), theirs)
    assert not os.get_inheritable(theirs.fileno())
    send_siblings(ours, memory[:2])
    send_siblings(ours, memory[2:3])
    got = await holdings.more_siblings() + await holdings.more_siblings()
    assert [os.fstat(fd).st_ino for fd in got] == [os.fstat(fd).st_ino for fd in memory[:3]]
    assert holdings.sibling_tables() == got
    ours.close()
    with trio.fail_after(5):
        assert await holdings.more_siblings() == []
        assert await holdings.more_siblings() == []
    for fd in got:
        os.close(fd)


async def test_without_a_way_there_are_none() -> None:
    assert await Holdings((), ()).more_siblings() == []
