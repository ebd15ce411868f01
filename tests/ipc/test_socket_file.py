"""One path, one living owner, whatever happens to the owners before."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ipc.socket_file import EndpointError, EndpointInUse, SocketFile, ipc_path
from tests.support.short_path import short_directory

directory = short_directory
ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from ipc.socket_file import SocketFile
owner = SocketFile(Path(sys.argv[1]), 0o600)
print("there", flush=True)
time.sleep(60)
"""


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_the_file_of_a_killed_process_is_replaced_and_that_of_a_living_one_is_not(
    directory: Path,
) -> None:
    path = directory / "s"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"there\n"
        with pytest.raises(EndpointInUse, match="is in use by a running process"):
            SocketFile(path, 0o600)
        connect(path)
        owner.send_signal(signal.SIGKILL)
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        connect(path)
    mine = SocketFile(path, 0o660)
    connect(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    mine.leave()
    assert list(directory.iterdir()) == []


def test_of_many_at_once_exactly_one_gets_in_however_often_owners_leave(directory: Path) -> None:
    path = directory / "s"
    owners = 0
    most = 0
    times = 0
    counting = threading.Lock()

    def come_and_go() -> None:
        nonlocal owners, most, times
        for _ in range(200):
            try:
                mine = SocketFile(path, 0o600)
            except EndpointInUse:
                continue
            with counting:
                owners += 1
                times += 1
                most = max(most, owners)
            connect(path)
            with counting:
                owners -= 1
            mine.leave()

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert times > 0
    assert list(directory.iterdir()) == []


def test_a_place_that_cannot_be_leaves_nothing_behind(directory: Path) -> None:
    (directory / "s").mkdir()
    with pytest.raises(OSError, match="directory"):
        SocketFile(directory / "s", 0o600)
    assert {entry.name for entry in directory.iterdir()} == {"s"}


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("ipc:///run/tandem/x", Path("/run/tandem/x")),
        ("tcp://127.0.0.1:5", None),
        ("ipc://@abstract", None),
    ],
)
def test_the_path_of_an_end_point(endpoint: str, path: Path | None) -> None:
    assert ipc_path(endpoint) == path


@pytest.mark.parametrize("endpoint", ["", "ipc://", "/run/x", "ipc:///" + "é" * 52])
def test_what_is_no_end_point(endpoint: str) -> None:
    with pytest.raises(EndpointError):
        ipc_path(endpoint)
