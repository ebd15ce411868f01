"""Parcels wait for whoever comes, and nothing of them stays open that nobody wants."""

from __future__ import annotations

import array
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ipc.parcels import (
    MAX_BYTES,
    MAX_DESCRIPTORS,
    Parcel,
    ParcelError,
    find_parcel,
    leave_parcel,
    parcel_pair,
)

ROOT = Path(__file__).parents[2]
LEAVER = """
import os, socket, sys
from ipc.parcels import leave_parcel
end = socket.socket(fileno=int(sys.argv[1]))
reader, writer = os.pipe()
os.write(writer, b"of the dead")
leave_parcel(end, b"said", [reader])
"""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    leave, find = parcel_pair()
    with leave, find:
        yield leave, find


def open_files() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def found(end: socket.socket) -> Parcel:
    parcel = find_parcel(end)
    assert parcel is not None
    return parcel


def close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def test_what_was_left_outlives_its_leaver(pair: tuple[socket.socket, socket.socket]) -> None:
    leave, find = pair
    command = [sys.executable, "-c", LEAVER, str(leave.fileno())]
    subprocess.run(command, pass_fds=[leave.fileno()], cwd=ROOT, check=True)
    data, (fd,) = found(find)
    assert data == b"said"
    assert os.read(fd, 64) == b"of the dead"
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert find_parcel(find) is None


def test_parcels_come_in_order_and_may_be_large_or_empty(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    leave, find = pair
    large = os.urandom(1 << 20) * 8
    for data in (b"", large, b"last"):
        leave_parcel(leave, data, [])
    assert [found(find).data for _ in range(3)] == [b"", large, b"last"]


def test_a_pair_that_nobody_empties_holds_all_connections_of_a_relay(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """As many as it may have (16384), each parcel being full."""
    leave, find = pair
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    parcels = 16_384 // MAX_DESCRIPTORS + 2
    if hard != resource.RLIM_INFINITY and hard < 20_000:
        pytest.skip("so many cannot be on their way here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 20_000), hard))
    before = open_files()
    try:
        with Path("/dev/null").open() as each:
            for number in range(parcels):
                leave_parcel(leave, b"%d" % number, [each.fileno()] * MAX_DESCRIPTORS)
        for number in range(parcels):
            data, fds = found(find)
            assert (data, len(fds)) == (b"%d" % number, MAX_DESCRIPTORS)
            close(fds)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_files() == before


def test_a_pair_that_is_full_says_so_and_keeps_nothing_open(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    leave, find = pair
    leave.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    before, left = open_files(), 0
    with suppress(BlockingIOError):
        while left < 10_000:
            leave_parcel(leave, b"x", [])
            left += 1
    assert left < 10_000
    assert open_files() == before
    assert [found(find).data for _ in range(left)] == [b"x"] * left
    assert find_parcel(find) is None


def test_who_cannot_open_them_all_finds_the_first(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    leave, find = pair
    with Path("/dev/null").open() as each:
        leave_parcel(leave, b"all", [each.fileno()] * MAX_DESCRIPTORS)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open() as lowest:
        room = lowest.fileno() + 30
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, limits[1]))
    try:
        data, fds = found(find)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert data == b"all"
    assert 0 < len(fds) < MAX_DESCRIPTORS
    close(fds)


def test_too_much_is_a_mistake_of_ours(pair: tuple[socket.socket, socket.socket]) -> None:
    leave, _ = pair
    with pytest.raises(ValueError, match="241 descriptors"):
        leave_parcel(leave, b"", [0] * (MAX_DESCRIPTORS + 1))
    with pytest.raises(ValueError, match="bytes"):
        leave_parcel(leave, bytes(MAX_BYTES + 1), [])


def test_what_is_no_parcel_is_refused_and_the_next_one_found(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    leave, find = pair
    before = open_files()
    with ExitStack() as stack:
        memory = os.memfd_create("huge")
        stack.callback(os.close, memory)
        os.truncate(memory, MAX_BYTES + 1)
        reader, writer = os.pipe()
        stack.callback(close, [reader, writer])
        directory = os.open("/", os.O_RDONLY)
        stack.callback(os.close, directory)
        unreadable = os.open("/dev/null", os.O_WRONLY)
        stack.callback(os.close, unreadable)
        for message, fds in (
            (b"\1", []),
            (b"\2", [memory]),
            (b"\1\1", [memory]),
            (b"", [memory]),
            (b"\1", [memory, reader]),
            (b"\1", [reader, writer]),
            (b"\1", [directory, writer]),
            (b"\1", [unreadable]),
        ):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            leave.sendmsg([message], rights)
            with pytest.raises(ParcelError):
                find_parcel(find)
    assert open_files() == before
    leave_parcel(leave, b"good", [])
    assert found(find).data == b"good"


def test_a_pair_whose_other_end_is_gone_has_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    leave, find = pair
    leave_parcel(leave, b"left", [])
    leave.close()
    assert found(find).data == b"left"
    assert find_parcel(find) is None
