"""Parcels: bytes and descriptors that wait in a socket pair for a process that need not exist yet.

Who holds both ends leaves in one and finds in the other; what was left stays there when the one who left
it has ended, and goes with the last holder. A parcel is one SOCK_SEQPACKET message of one byte. Its bytes
are in memory that travels as its first descriptor: so their number is no matter of a socket's buffer, which
is small and nobody empties while parcels are left.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from typing import Final, NamedTuple

from ipc.descriptors import close_all, passed, rights_to, room_for

MAX_DESCRIPTORS: Final = 240
"""In one parcel; the kernel passes at most 253 with one message, and one is the memory's."""
MAX_BYTES: Final = 1 << 25
_PARCEL: Final = b"\1"


class ParcelError(Exception):
    """What was found is no parcel; the text says why."""


class Parcel(NamedTuple):
    """What was found."""

    data: bytes
    fds: list[int]
    """Close-on-exec, and the finder's to close. Fewer than were left where no more could be opened."""


def parcel_pair() -> tuple[socket.socket, socket.socket]:
    """Where parcels are left, and where they are found; neither blocks nor is inherited. Raises OSError."""
    leave, find = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (leave, find):
        end.setblocking(False)
    return leave, find


def leave_parcel(end: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Leave bytes and copies of descriptors. Never blocks.

    Raises OSError if there is no room: BlockingIOError in the pair; ETOOMANYREFS if as many descriptors
    are on their way as a process of this user may have open.
    """
    if len(fds) > MAX_DESCRIPTORS or len(data) > MAX_BYTES:
        raise ValueError(f"a parcel of {len(fds)} descriptors and {len(data)} bytes")
    memory = os.memfd_create("parcel", os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(memory, rest) :]
        quietly = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        end.sendmsg([_PARCEL], rights_to([memory, *fds]), quietly)
    finally:
        os.close(memory)


def find_parcel(end: socket.socket) -> Parcel | None:
    """The parcel that was left first, or None if there is none. Never blocks.

    Raises ParcelError, with nothing left open; then the next one may be good.
    """
    try:
        message, ancillary, _, _ = end.recvmsg(
            len(_PARCEL) + 1,
            room_for(MAX_DESCRIPTORS + 1),
            socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC,
        )
    except BlockingIOError:
        return None
    except OSError as error:
        raise ParcelError(f"could not be received: {error.strerror}") from error
    fds = passed(ancillary)
    if not message and not fds:  # nobody can leave anything any more
        return None
    others = fds[1:]
    try:
        data = _read(fds[0]) if fds and message == _PARCEL else None
    except OSError as error:
        close_all(others)
        raise ParcelError(f"its bytes cannot be read: {error.strerror}") from error
    finally:
        close_all(fds[:1])
    if data is None:
        close_all(others)
        raise ParcelError("it is none")
    return Parcel(data, others)


def _read(memory: int) -> bytes | None:
    """All that is in it; None if it is no memory, or too much."""
    found = os.fstat(memory)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        return None
    data = bytearray()
    while piece := os.pread(memory, found.st_size - len(data), len(data)):
        data += piece
    return bytes(data)
