"""Sockets and memory come with the assignment; more memory comes later, until the supervisor is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from config.ids import Endpoint, Role, WorkerName
from ipc.handover import assignment_pair, receive_claim, send_siblings
from ipc.messages.lifecycle import (
    Assignment,
    Claim,
    Descriptor,
    DescriptorKind,
    Hello,
    Ready,
)
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


def test_what_only_a_newer_version_knows_is_closed() -> None:
    end, other = socket.socketpair()
    with other:
        novel = Descriptor(DescriptorKind("wormhole"), NOWHERE)
        holdings = Holdings((novel,), (end.detach(),))
        assert other.recv(1) == b""
        assert holdings.sockets(DescriptorKind.UNKNOWN) == []


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
    with trio.move_on_after(0.05) as waiting:
        await holdings.more_siblings()
    assert waiting.cancelled_caught  # there is nobody to send any
    for fd in got:
        os.close(fd)


async def test_a_new_supervisor_gets_everything_back_and_sends_more(
    pair: tuple[socket.socket, socket.socket], memory: list[int], tmp_path: Path
) -> None:
    ours, theirs = pair
    descriptors = [
        Descriptor(DescriptorKind.TABLE, NOWHERE),
        Descriptor(DescriptorKind.PUBLIC, BOUND),
    ]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inode = os.fstat(udp.fileno()).st_ino
    holdings = Holdings(descriptors, [memory[0], udp.detach()], theirs)
    send_siblings(ours, memory[1:2])
    (sibling,) = await holdings.more_siblings()
    ours.close()
    claim = Claim(b"token", hello(), assignment(), Ready(link=BOUND))
    path = tmp_path / "reclaim.sock"
    with pytest.raises(FileNotFoundError):
        holdings.give_back(path, claim)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        async with trio.open_nursery() as nursery:
            more: list[int] = []

            async def wait_for_more() -> None:
                more.extend(await holdings.more_siblings())

            nursery.start_soon(wait_for_more)
            await trio.testing.wait_all_tasks_blocked()
            holdings.give_back(path, claim)
            connection, _ = listener.accept()
            with connection:
                got, fds = receive_claim(connection)
                send_siblings(connection, memory[2:3])
                with trio.fail_after(5):
                    while not more:
                        await trio.sleep(0)
    with trio.move_on_after(0.05):  # notices that the other end is closed
        await holdings.more_siblings()
    assert (got.token, got.hello, got.ready) == (claim.token, claim.hello, claim.ready)
    kinds = [descriptor.kind for descriptor in got.assignment.descriptors]
    assert kinds == [DescriptorKind.PUBLIC, DescriptorKind.TABLE, DescriptorKind.SIBLING]
    inodes = [os.fstat(fd).st_ino for fd in fds]
    assert inodes == [inode, *(os.fstat(fd).st_ino for fd in memory[:2])]
    ((_, public),) = holdings.sockets(DescriptorKind.PUBLIC)
    public.close()
    for fd in (*fds, *more, sibling):
        os.close(fd)


def hello() -> Hello:
    return Hello(1, WorkerName("relay-0"), Role.RELAY, 7, os.getpid())


def assignment() -> Assignment:
    return Assignment(
        version=1,
        name=WorkerName("relay-0"),
        role=Role.RELAY,
        index=0,
        generation=7,
        config="{}",
        control="ipc:///c",
        bus="ipc:///b",
        runtime_directory="/",
        descriptors=(),
        ufrag_keys={},
        mint_with="",
    )
