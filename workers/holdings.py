"""What a worker holds of what its supervisor keeps: sockets, shared memory, and where more comes."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from config.ids import Endpoint
from ipc.handover import HandoverError, receive_siblings, send_claim
from ipc.messages.lifecycle import NOWHERE, Claim, Descriptor, DescriptorKind

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
            if descriptor.kind is DescriptorKind.UNKNOWN:
                os.close(fd)
                continue
            sock = socket.socket(fileno=fd)
            sock.setblocking(False)
            self._sockets.append((descriptor, sock))
        self._channel = channel
        self._another = trio.Event()
        """Set, and replaced, when there is another channel."""
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
        """Wait for relays to be added: their tables, which are held as the first ones are."""
        while True:
            if (channel := self._channel) is None:
                await self._another.wait()
                continue
            try:
                await trio.lowlevel.wait_readable(channel)
                tables = receive_siblings(channel)
            except trio.ClosedResourceError:
                continue  # the next supervisor's took its place
            except HandoverError:  # the supervisor is gone; what we have is ours
                self._leave(channel)
                continue
            self._memory += [(DescriptorKind.SIBLING, table) for table in tables]
            return tables

    def give_back(self, path: Path, claim: Claim) -> None:
        """Show a new supervisor all we hold; the way there is where more comes from now on.

        Raises OSError or HandoverError: then it asks again.
        """
        held = [(descriptor, sock.fileno()) for descriptor, sock in self._sockets]
        held += [(Descriptor(kind, NOWHERE), fd) for kind, fd in self._memory]
        descriptors = tuple(descriptor for descriptor, _ in held)
        assignment = msgspec.structs.replace(claim.assignment, descriptors=descriptors)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            channel.setblocking(False)
            channel.connect(os.fspath(path))
            whole = msgspec.structs.replace(claim, assignment=assignment)
            send_claim(channel, whole, [fd for _, fd in held])
        except BaseException:
            channel.close()
            raise
        if self._channel is not None:
            self._leave(self._channel)
        self._channel = channel
        self._another.set()
        self._another = trio.Event()

    def _leave(self, channel: socket.socket) -> None:
        trio.lowlevel.notify_closing(channel)
        channel.close()
        if self._channel is channel:
            self._channel = None
