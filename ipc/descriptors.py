"""How many descriptors this process may have, and how some pass to another one.

What strangers may take of them is in proportion to their number.
"""

from __future__ import annotations

import array
import os
import resource
import socket
from collections.abc import Iterable, Sequence
from typing import Final

MAX_DESCRIPTORS: Final = 65_536
_INT: Final = array.array("i").itemsize


def allow_descriptors() -> None:
    """As many as we may have; the usual soft limit is less than signaling's connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(soft, min(hard, MAX_DESCRIPTORS) if hard > 0 else MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def share_of_descriptors(most: int) -> int:
    """At most that many, and at most half of what this process may have."""
    return min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def rights_to(fds: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    """What `sendmsg` passes copies of descriptors with; the kernel takes 253 at most."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def room_for(number: int) -> int:
    """What `recvmsg` needs for so many."""
    return socket.CMSG_SPACE(number * _INT)


def passed(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with what `recvmsg` has received; they are ours to close."""
    fds = array.array("i")
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % _INT])
    return fds.tolist()


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
