"""A datagram for systemd."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from appliance.supervisor.notify import notify, notify_reloading, watchdog_interval
from tests.support.short_path import short_directory as short_directory


def test_tells_whoever_listens(short_directory: Path) -> None:
    path = str(short_directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        assert notify("READY=1", "STATUS=ready", environ={"NOTIFY_SOCKET": path})
        assert systemd.recv(100) == b"READY=1\nSTATUS=ready"


def test_a_reload_begins_at_a_time_of_the_monotonic_clock(short_directory: Path) -> None:
    path = str(short_directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        before = time.monotonic_ns() // 1000
        notify_reloading({"NOTIFY_SOCKET": path})
        first, second = systemd.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1000


def test_abstract_names(short_directory: Path) -> None:
    name = f"@{short_directory}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:])
        assert notify("STOPPING=1", environ={"NOTIFY_SOCKET": name})
        assert systemd.recv(100) == b"STOPPING=1"


def test_nobody_listens(short_directory: Path) -> None:
    assert not notify("READY=1", environ={})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": str(short_directory / "gone")})
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": "vsock:2:1"})


def test_the_watchdog_is_fed_twice_as_often_as_it_looks() -> None:
    own = {"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid())}
    assert watchdog_interval(own) == 7.5
    assert watchdog_interval({"WATCHDOG_USEC": "3000000"}) == 1.5


def test_no_watchdog_or_somebody_elses() -> None:
    assert watchdog_interval({}) is None
    assert watchdog_interval({"WATCHDOG_USEC": "0"}) is None
    assert watchdog_interval({"WATCHDOG_USEC": "soon"}) is None
    assert watchdog_interval({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}) is None
