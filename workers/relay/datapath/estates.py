"""How TCP connections go from a relay that is released to the next one of its name.

    who is released --connections, flows, slots--> a socket pair ----> who comes next, before it serves

Both ends of the pair are the supervisor's, and every relay of that name has them too, so what is left waits
for whoever comes: a successor, another one if that dies, or the same process if none is born. A descriptor
is with one of them or on its way, and closed when nobody has it any more.
"""

from __future__ import annotations

import socket
import time
from itertools import zip_longest
from typing import Final

from config.ids import Instant
from ipc.descriptors import close_all
from ipc.parcels import MAX_DESCRIPTORS, ParcelError, find_parcel, leave_parcel
from workers.relay.core.connections import MAX_CONNECTIONS
from workers.relay.core.estate import (
    Estate,
    EstateError,
    decode_estate,
    encode_estate,
)
from workers.relay.datapath.tcp import TcpDatapath

LEAVE_WITHIN: Final = 0.5
"""Seconds, of those that the supervisor grants for a release; a successor waits."""
_MOST: Final = 2 * MAX_CONNECTIONS // MAX_DESCRIPTORS
"""Parcels that are looked at: more than one relay can have left."""


def leave_estate(path: TcpDatapath, end: socket.socket, now: Instant) -> tuple[int, int]:
    """Leave all connections that time and the pair's room allow: how many, and how many it were not.

    All of them are still to be closed.
    """
    everything, slots = path.left(now), path.slots
    at, count = time.monotonic(), 0
    # Without a connection, too, labels that were in use just now are to rest.
    for start in range(0, max(len(everything), bool(slots)), MAX_DESCRIPTORS):
        part = everything[start : start + MAX_DESCRIPTORS]
        estate = Estate(at, tuple(left for left, _ in part), b"" if start else slots)
        if time.monotonic() >= at + LEAVE_WITHIN:
            break
        try:
            leave_parcel(end, encode_estate(estate), [sock.fileno() for _, sock in part])
        except OSError:  # what it is about, the rest meets as well
            break
        count += len(part)
    return count, len(everything) - count


def take_estate(path: TcpDatapath, end: socket.socket, now: Instant) -> list[str]:
    """Go on with all that was left, before there is a core; gives what was wrong with what could not be."""
    problems: list[str] = []
    for _ in range(_MOST):
        try:
            parcel = find_parcel(end)
        except ParcelError as error:
            problems.append(f"a parcel: {error}")
            continue
        if parcel is None:
            break
        try:
            estate = decode_estate(parcel.data)
        except EstateError as error:
            problems.append(f"an estate: {error}")
            estate = Estate(0.0)
        path.take_slots(estate.slots)
        age = max(0.0, time.monotonic() - estate.at)
        for left, fd in zip_longest(estate.connections, parcel.fds):
            path.take(left, None if fd is None else _connection(fd), age, now)
    return problems


def _connection(fd: int) -> socket.socket | None:
    """What came as one; None, and closed, if it is something else."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        close_all([fd])
        return None
    if sock.type is socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6):
        return sock
    sock.close()
    return None
