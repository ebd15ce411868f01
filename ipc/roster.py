"""Which worker processes live, as the kernel knows it, and nobody has to write down.

Each worker locks one byte of one file, the byte whose number is its generation; no two processes of a host
have the same. Such a lock (F_SETLK) belongs to a process and ends with it, however it ends, and whoever may
read the file can ask the kernel for the pid that holds it. A supervisor that comes after one that died
learns so whom to expect, and that a peer which says that it is a certain worker is that one.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

ROSTER: Final = "roster"
_FLOCK: Final = struct.Struct("@hhqqi4x")
"""struct flock on 64-bit Linux: type, whence, start, length, pid."""
_END: Final = 1 << 62


class NotEntered(Exception):
    """This generation is on the roster already, or there is no roster; the text says which."""


def enter(directory: Path, generation: int) -> int:
    """Put this process on the roster; gives the descriptor, which is to stay open until it ends.

    The lock goes when *any* descriptor of that file is closed by this process: call this once. Raises
    NotEntered.
    """
    try:
        file = _open(directory)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, generation)
        except BaseException:
            os.close(file)
            raise
    except BlockingIOError:
        raise NotEntered(f"another process is number {generation}") from None
    except OSError as error:
        raise NotEntered(f"{directory / ROSTER}: {error.strerror}") from None
    return file


def living(directory: Path) -> dict[int, int]:
    """Generation -> pid of all workers of that directory that live now. Raises OSError."""
    file = _open(directory)
    try:
        found: dict[int, int] = {}
        # The kernel tells of any one lock in a range, so what is left and right of it is asked again.
        ranges = [(0, _END)]
        while ranges:
            start, end = ranges.pop()
            if start < end and (holder := _holder(file, start, end - start)) is not None:
                generation, pid = holder
                found[generation] = pid
                ranges += [(start, generation), (generation + 1, end)]
        return found
    finally:
        os.close(file)


def _open(directory: Path) -> int:
    return os.open(directory / ROSTER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _holder(file: int, start: int, length: int) -> tuple[int, int] | None:
    """A byte of that range that another process has locked, and which process."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, start, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else (start, pid)
