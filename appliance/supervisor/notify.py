"""Tells systemd how we are (sd_notify): a datagram to $NOTIFY_SOCKET, nothing if there is none."""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

MANAGED: Final = "NOTIFY_SOCKET"
"""In the environment of who was started by a service manager that wants to be told."""


def notify(*states: str, fds: Sequence[int] = (), environ: Mapping[str, str] = os.environ) -> bool:
    """Send `READY=1`, `STOPPING=1`, `STATUS=...`, and copies of descriptors. True if somebody was told.

    Never raises and never waits: telling is a courtesy.
    """
    address = environ.get(MANAGED, "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.setblocking(False)
        with suppress(OSError):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
            unix.sendmsg(["\n".join(states).encode()], rights, 0, address)
            return True
    return False


def notify_reloading(environ: Mapping[str, str] = os.environ) -> None:
    """A reload has begun; `READY=1` ends it. The time tells systemd that it is the one it has asked for."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now}", environ=environ)


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two signs of life, half of what systemd waits; None if it waits for none.

    sd_watchdog_enabled(3): $WATCHDOG_USEC counts only for the process that $WATCHDOG_PID names.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    given = environ.get("WATCHDOG_USEC", "")
    return int(given) / 2_000_000 if given.isascii() and given.isdigit() and int(given) else None


async def keep_watchdog(interval: float) -> None:
    """Give signs of life for ever: a loop that hangs gives none, and systemd starts another."""
    while True:
        notify("WATCHDOG=1")
        await trio.sleep(interval)
