"""What a worker holds of what its supervisor keeps: sockets, shared memory, and where more comes."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from config.ids import Endpoint
from ipc.handover import HandoverError, receive_siblings
from ipc.messages.lifecycle import Descriptor, DescriptorKind

_MEMORY = (DescriptorKind.TABLE, DescriptorKind.SIBLING)


class Holdings:
    """The descriptors of one assignment, for as long as the process lives."""

    def __init__(
        self,
        descriptors: Sequence[Descriptor],
        fds: Sequence[int],
        channel: socket.socket | None = None,
    ) -> None:
        """`fds` are those of `descriptors`; they and `channel`, our end of the pair, are ours now."""
        self._sockets: list[tuple[Descriptor, socket.socket]] = []
        self._memory: list[tuple[DescriptorKind, int]] = []
        for descriptor, fd in zip(descriptors, fds, strict=True):
            if descriptor.kind in _MEMORY:
                self._memory.append((descriptor.kind, fd))
                continue
            sock = socket.socket(fileno=fd)
            sock.setblocking(False)
            self._sockets.append((descriptor, sock))
        self._channel = channel
        if channel is not None:
            channel.set_inheritable(False)

    def sockets(self, kind: DescriptorKind) -> list[tuple[Endpoint, socket.socket]]:
        """The non-blocking sockets of that kind, each with what it is, or will be, bound to."""
        return [
            (descriptor.endpoint, sock)
            for descriptor, sock in self._sockets
            if descriptor.kind is kind
        ]

    def table(self) -> int | None:
        """Descriptor of the shared memory that outlives this process, or None if there is none."""
        tables = [fd for kind, fd in self._memory if kind is DescriptorKind.TABLE]
        return tables[0] if tables else None

    def sibling_tables(self) -> list[int]:
        """Descriptors of the other relays' shared memory, for reading only."""
        return [fd for kind, fd in self._memory if kind is DescriptorKind.SIBLING]

    async def more_siblings(self) -> list[int]:
        """Wait for relays to be added: their tables, which are held as the first ones are.

        Empty when there is nobody to send any.
        """
        if self._channel is None:
            return []
        await trio.lowlevel.wait_readable(self._channel)
        try:
            tables = receive_siblings(self._channel)
        except HandoverError:  # the supervisor is gone; what we have is ours
            self._channel.close()
            self._channel = None
            return []
        self._memory += [(DescriptorKind.SIBLING, table) for table in tables]
        return tables
