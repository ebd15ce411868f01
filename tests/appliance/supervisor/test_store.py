"""The descriptor store, against a socket that stands for systemd's."""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.supervisor.store import Store, take_stored
from tests.support.short_path import short_directory

directory = short_directory


class Manager:
    """What systemd does with the store: descriptors by name."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.kept: dict[str, list[int]] = {}

    def read(self) -> int:
        """Take what has come; gives how many messages."""
        number = 0
        while True:
            try:
                data, ancillary, _, _ = self._listener.recvmsg(4096, socket.CMSG_SPACE(1024))
            except BlockingIOError:
                return number
            number += 1
            lines = dict(line.split("=", 1) for line in data.decode().split("\n"))
            if "FDSTOREREMOVE" in lines:
                for fd in self.kept.pop(lines["FDNAME"], []):
                    os.close(fd)
            elif lines.get("FDSTORE") == "1":
                assert lines["FDPOLL"] == "0"
                fds = array("i")
                for _, _, payload in ancillary:
                    fds.frombytes(payload)
                self.kept.setdefault(lines["FDNAME"], []).extend(fds)

    def inodes(self) -> dict[str, list[int]]:
        return {name: [os.fstat(fd).st_ino for fd in fds] for name, fds in self.kept.items()}


@pytest.fixture
def manager(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(directory / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(directory / "notify"))
        manager = Manager(listener)
        yield manager
        for fds in manager.kept.values():
            for fd in fds:
                os.close(fd)


@pytest.fixture
def files() -> Iterator[list[int]]:
    fds = [os.memfd_create(f"file {n}") for n in range(3)]
    yield fds
    for fd in fds:
        os.close(fd)


def inode(fd: int) -> int:
    return os.fstat(fd).st_ino


def test_it_has_what_was_given_last_and_is_told_of_differences_only(
    manager: Manager, files: list[int]
) -> None:
    first, second, third = files
    store = Store()
    store.keep({"public.0": [first, second], "http": [third]})
    manager.read()
    assert manager.inodes() == {"public.0": [inode(first), inode(second)], "http": [inode(third)]}
    store.keep({"public.0": [first, second], "http": [third]})
    assert manager.read() == 0
    store.keep({"public.0": [second]})
    manager.read()
    assert manager.inodes() == {"public.0": [inode(second)]}


def test_what_an_earlier_process_left_is_replaced_or_goes(
    manager: Manager, files: list[int]
) -> None:
    first, second, _ = files
    Store().keep({"public.0": [first], "public.1": [second]})
    following = Store()
    following.found({"public.0", "public.1"})
    following.keep({"public.0": [first]})
    manager.read()
    assert manager.inodes() == {"public.0": [inode(first)]}


def test_after_the_end_there_is_nothing_in_it(manager: Manager, files: list[int]) -> None:
    store = Store()
    store.keep({"http": files})
    store.end()
    store.keep({"http": files})
    manager.read()
    assert manager.kept == {}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
    ],
)
def test_what_is_not_for_us_is_not_taken(environ: dict[str, str]) -> None:
    assert take_stored(environ) == []
