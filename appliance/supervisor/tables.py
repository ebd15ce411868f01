"""The shared memory in which relays keep their flows, so that a successor forwards from its first moment.

We make it and hold it; what is in it is the relays' own affair. A relay gets its own table to write, and
its siblings' to read: when the kernel hands it a datagram of a sibling's flow, it finds the route there.
"""

from __future__ import annotations

import os

from config.ids import Endpoint
from ipc.messages.lifecycle import Descriptor, DescriptorKind

_NOWHERE = Endpoint("", 0)


class Tables:
    """One per relay worker, made when it is first asked for and empty then."""

    def __init__(self) -> None:
        self._own: dict[int, int] = {}
        self._shown: dict[int, int] = {}

    def of(self, index: int, relays: int, room: int) -> list[tuple[Descriptor, int]]:
        """That relay's table and those of its siblings, `room` at most. Raises OSError.

        A sibling left out for want of room costs its moved flows the time until their next check.
        """
        siblings = [other for other in range(relays) if other != index]
        own = (Descriptor(DescriptorKind.TABLE, _NOWHERE), self._table(index))
        read_only = Descriptor(DescriptorKind.SIBLING, _NOWHERE)
        return [own, *((read_only, self._reader(other)) for other in siblings[: room - 1])]

    def close(self) -> None:
        """Close them all; workers keep theirs."""
        for fd in (*self._own.values(), *self._shown.values()):
            os.close(fd)
        self._own.clear()
        self._shown.clear()

    def _table(self, index: int) -> int:
        if index not in self._own:
            self._own[index] = os.memfd_create(f"tandem-flows-{index}", os.MFD_CLOEXEC)
        return self._own[index]

    def _reader(self, index: int) -> int:
        """A second opening of the same memory, by which nobody can write."""
        if index not in self._shown:
            path = f"/proc/self/fd/{self._table(index)}"
            self._shown[index] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._shown[index]
