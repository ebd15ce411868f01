"""Assignments and sockets cross over to another process, or the reason why not."""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.ids import Endpoint, Role, WorkerName
from ipc.codec import encode
from ipc.handover import (
    MAX_ASSIGNMENT,
    MAX_DESCRIPTORS,
    HandoverError,
    assignment_pair,
    receive_assignment,
    receive_siblings,
    send_assignment,
    send_siblings,
)
from ipc.messages.lifecycle import Assignment, Descriptor, DescriptorKind, Siblings, Stop

ROOT = Path(__file__).parents[2]
CHILD = """
import socket, sys
from ipc.handover import receive_assignment
with socket.socket(fileno=int(sys.argv[1])) as sock:
    assignment, fds = receive_assignment(sock)
for descriptor, fd in zip(assignment.descriptors, fds):
    with socket.socket(fileno=fd) as sock:
        if sock.type == socket.SOCK_DGRAM:
            sock.sendto(assignment.name.encode(), descriptor.endpoint)
        else:
            peer, _ = sock.accept()
            peer.sendall(assignment.name.encode())
"""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = assignment_pair()
    with ours, theirs:
        yield ours, theirs


def assignment(*descriptors: Descriptor, config: str = "{}") -> Assignment:
    return Assignment(
        version=1,
        name=WorkerName("relay-0"),
        role=Role.RELAY,
        index=0,
        generation=1,
        config=config,
        control="ipc:///control",
        bus="ipc:///bus",
        runtime_directory="/run",
        descriptors=descriptors,
        ufrag_keys={"a": bytes(16)},
        mint_with="a",
    )


def described(sock: socket.socket, kind: DescriptorKind) -> Descriptor:
    return Descriptor(kind=kind, endpoint=Endpoint(*sock.getsockname()[:2]))


def open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_another_process_gets_the_very_sockets(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp6,
        socket.create_server(("127.0.0.1", 0)) as tcp,
    ):
        udp.bind(("127.0.0.1", 0))
        udp6.bind(("::1", 0))
        send_assignment(
            ours,
            assignment(
                described(udp, DescriptorKind.PUBLIC),
                described(udp6, DescriptorKind.LINK),
                described(tcp, DescriptorKind.HTTP),
            ),
            [udp, udp6.fileno(), tcp],
        )
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            cwd=ROOT,
        )
        with socket.create_connection(tcp.getsockname()) as client, child:
            assert client.recv(100) == b"relay-0"
        assert child.returncode == 0
        assert udp.recv(100) == udp6.recv(100) == b"relay-0"


def test_what_arrives_is_close_on_exec_and_in_order(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(MAX_DESCRIPTORS)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    sent = assignment(*(described(sock, DescriptorKind.PUBLIC) for sock in sockets))
    send_assignment(ours, sent, sockets)
    for sock in sockets:
        sock.close()
    received, fds = receive_assignment(theirs)
    assert received == sent
    for descriptor, fd in zip(received.descriptors, fds, strict=True):
        with socket.socket(fileno=fd) as sock:
            assert sock.getsockname() == descriptor.endpoint
            assert not os.get_inheritable(fd)


def test_an_assignment_without_sockets(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    send_assignment(ours, assignment(), [])
    assert receive_assignment(theirs) == (assignment(), [])


def test_a_big_configuration_fits(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    big = assignment(config="x" * (MAX_ASSIGNMENT - 500))
    send_assignment(ours, big, [])
    assert receive_assignment(theirs) == (big, [])


@pytest.mark.parametrize(
    ("sent", "count", "why"),
    [
        (assignment(), 1, "1 descriptors for 0 entries"),
        (assignment(config="x" * MAX_ASSIGNMENT), 0, "at most 131072 fit"),
        (assignment(config="x" * 2_000_000), 0, "at most 1048576"),
        (
            assignment(*[Descriptor(DescriptorKind.LINK, Endpoint("::1", 1))] * 251),
            251,
            "at most 250 can be passed",
        ),
        (assignment(Descriptor(DescriptorKind.LINK, Endpoint("::1", 1))), 1, "Bad file descriptor"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    pair: tuple[socket.socket, socket.socket], sent: Assignment, count: int, why: str
) -> None:
    with pytest.raises(HandoverError, match=why):
        send_assignment(pair[0], sent, [999_999] * count)


def test_a_worker_that_died_is_an_error_and_no_signal(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(HandoverError, match="could not be sent: "):
        send_assignment(ours, assignment(), [])


def send_raw(sock: socket.socket, data: bytes, fds: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    sock.sendmsg([data], rights)


@pytest.mark.parametrize(
    ("data", "count", "why"),
    [
        (b"garbage", 2, "malformed assignment: "),
        (encode(Stop()), 1, "expected an Assignment, got a Stop"),
        (encode(assignment()), 1, "1 descriptors came with an assignment that lists 0"),
        (bytes(MAX_ASSIGNMENT + 1), 1, "cut short"),
        (encode(assignment()), 251, "cut short|251 descriptors came"),
    ],
)
def test_what_is_not_as_it_must_be_leaves_no_file_open(
    pair: tuple[socket.socket, socket.socket], data: bytes, count: int, why: str
) -> None:
    ours, theirs = pair
    before = open_files()
    send_raw(ours, data, [ours.fileno()] * count)
    with pytest.raises(HandoverError, match=why):
        receive_assignment(theirs)
    assert open_files() == before


def test_a_supervisor_that_vanished_or_says_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    with pytest.raises(HandoverError, match=r"no assignment within 0\.01 s"):
        receive_assignment(theirs, within=0.01)
    ours.close()
    with pytest.raises(HandoverError, match="went away"):
        receive_assignment(theirs)


def test_tables_may_follow(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    table = os.memfd_create("table")
    send_siblings(ours, [table, table])
    got = receive_siblings(theirs)
    assert [os.fstat(fd).st_ino for fd in got] == [os.fstat(table).st_ino] * 2
    for fd in (table, *got):
        os.close(fd)


def test_what_are_no_tables_is_refused_and_nothing_stays_open(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    before = open_files()
    with pytest.raises(HandoverError, match="Resource temporarily unavailable"):
        receive_siblings(theirs)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
    for data in (encode(Siblings(2)), encode(Stop()), b"\xc1"):
        ours.sendmsg([data], rights)
        with pytest.raises(HandoverError):
            receive_siblings(theirs)
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(HandoverError, match="went away"):
        receive_siblings(theirs)
    assert open_files() == before
