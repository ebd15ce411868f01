"""The shared memory in which relays keep their flows, so that a successor forwards from its first moment.

We make it and hold it; what is in it is the relays' own affair. A relay gets its own table to write, and
its siblings' to read: when the kernel hands it a datagram of a sibling's flow, it finds the route there.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import Final

from appliance.supervisor.recovered import TABLE_NAME
from ipc.messages.lifecycle import NOWHERE, Descriptor, DescriptorKind

_PUNCH_HOLE: Final = 3
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE: who has mapped it finds zeros, and no end."""


class Tables:
    """One per relay worker, made when it is first asked for and empty then."""

    def __init__(self) -> None:
        self._own: dict[int, int] = {}
        self._shown: dict[int, int] = {}

    def take_back(self, tables: Mapping[int, int]) -> None:
        """These are a dead supervisor's, by index; they are ours from now on."""
        self._own.update(tables)

    def by_index(self) -> dict[int, int]:
        """All that there are."""
        return dict(self._own)

    def of(self, index: int, relays: int, room: int) -> list[tuple[Descriptor, int]]:
        """That relay's table and those of its siblings, `room` at most. Raises OSError.

        A sibling left out for want of room costs its moved flows the time until their next check.
        """
        siblings = [other for other in range(relays) if other != index]
        own = (Descriptor(DescriptorKind.TABLE, NOWHERE), self._table(index))
        read_only = Descriptor(DescriptorKind.SIBLING, NOWHERE)
        return [own, *((read_only, self._reader(other)) for other in siblings[: room - 1])]

    def readers(self, indexes: Sequence[int]) -> list[int]:
        """These relays' tables, for siblings that run already. Raises OSError."""
        return [self._reader(index) for index in indexes]

    def keep(self, relays: int) -> None:
        """Give back the memory of all but the first so many.

        The descriptors stay: siblings have them, and another relay of that name gets the same again.
        """
        for index in [index for index in self._own if index >= relays]:
            size = os.fstat(self._own[index]).st_size
            whole = ctypes.c_long(0), ctypes.c_long(size)
            ctypes.CDLL(None).fallocate(self._own[index], _PUNCH_HOLE, *whole)

    def close(self) -> None:
        """Close them all; workers keep theirs."""
        for fd in (*self._own.values(), *self._shown.values()):
            os.close(fd)
        self._own.clear()
        self._shown.clear()

    def _table(self, index: int) -> int:
        if index not in self._own:
            self._own[index] = os.memfd_create(f"{TABLE_NAME}{index}", os.MFD_CLOEXEC)
        return self._own[index]

    def _reader(self, index: int) -> int:
        """A second opening of the same memory, by which nobody can write."""
        if index not in self._shown:
            path = f"/proc/self/fd/{self._table(index)}"
            self._shown[index] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._shown[index]
