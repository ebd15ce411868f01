"""Tells systemd how we are (sd_notify): a datagram to $NOTIFY_SOCKET, nothing if there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(*states: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send `READY=1`, `STOPPING=1`, `STATUS=...`. True if somebody was told.

    Never raises and never waits: telling is a courtesy.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.setblocking(False)
        with suppress(OSError):
            unix.sendto("\n".join(states).encode(), address)
            return True
    return False
