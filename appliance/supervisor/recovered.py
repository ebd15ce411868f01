"""Sockets and tables that outlived a supervisor, as they come back from whoever has them.

As long as one process has a socket open its group in the kernel does not change, and what is queued in it
stays. Of each thing the first copy is kept; the others are closed, which changes nothing.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from appliance.supervisor.binding import BoundSocket, bound
from config.ids import Endpoint, Role
from ipc.descriptors import close_all
from ipc.messages.lifecycle import Assignment, Descriptor, DescriptorKind

TABLE_NAME: Final = "tandem-flows-"
"""What the memory of flows is called, with its relay's index: /proc/self/fd tells it of a descriptor."""
_TABLE: Final = re.compile(rf"/memfd:{TABLE_NAME}(\d{{1,9}}) \(deleted\)")


class EstatePair(NamedTuple):
    """The two ends of a socket pair in which a relay's connections wait for the next one of its name."""

    entry: socket.socket
    exit: socket.socket


class Recovered:
    """What has come back so far."""

    def __init__(self) -> None:
        self.public: dict[int, list[BoundSocket]] = {}
        """Per relay, by index; one that was about to join is not bound to its end points yet."""
        self.links: dict[int, BoundSocket] = {}
        self.tcp: list[BoundSocket] = []
        self.tcp_links: dict[int, BoundSocket] = {}
        self.estates: dict[int, EstatePair] = {}
        self.http: list[BoundSocket] = []
        self.tables: dict[int, int] = {}
        self._rows: dict[int, list[BoundSocket]] = {}
        self.peers: tuple[Endpoint, ...] = ()
        """The link addresses of all relays, also of those that brought nothing back."""

    def take(self, assignment: Assignment, fds: Sequence[int]) -> None:
        """What one worker held, the descriptors now being ours. Raises ValueError if it is not that."""
        rest = list(fds)
        row: list[BoundSocket] = []
        ends: list[BoundSocket] = []
        try:
            for descriptor in assignment.descriptors:
                self._take_one(assignment, descriptor, rest.pop(0), row, ends)
        except ValueError:
            _close(row + ends)
            raise
        finally:
            close_all(rest)
        if len(ends) == len(EstatePair._fields) and assignment.index not in self.estates:
            self.estates[assignment.index] = EstatePair(*(end.socket for end in ends))
        else:
            _close(ends)
        if row and assignment.index not in self.public and self._fits(row):
            self.public[assignment.index] = row
        else:
            _close(row)
        self.peers = max(self.peers, assignment.peers, key=len)

    def _take_one(
        self,
        assignment: Assignment,
        descriptor: Descriptor,
        fd: int,
        row: list[BoundSocket],
        ends: list[BoundSocket],
    ) -> None:
        if descriptor.kind in (DescriptorKind.TABLE, DescriptorKind.SIBLING):
            self._take_table(descriptor.kind, fd)
            return
        if descriptor.kind is DescriptorKind.UNKNOWN:
            os.close(fd)
            return
        found = BoundSocket(descriptor.endpoint, _socket(descriptor, fd))
        match descriptor.kind:
            case DescriptorKind.PUBLIC | DescriptorKind.INGRESS:
                row.append(found)
            case DescriptorKind.ESTATE_IN | DescriptorKind.ESTATE_OUT:
                ends.append(found)
            case DescriptorKind.LINK if assignment.role is Role.RELAY and (
                assignment.index not in self.links
            ):
                self.links[assignment.index] = found
            case DescriptorKind.TCP_LINK if assignment.index not in self.tcp_links:
                self.tcp_links[assignment.index] = found
            case DescriptorKind.TCP if found.endpoint not in [b.endpoint for b in self.tcp]:
                self.tcp.append(found)
            case DescriptorKind.HTTP if assignment.role is Role.SIGNALING and (
                found.endpoint not in [b.endpoint for b in self.http]
            ):
                self.http.append(found)
            case _:  # there is one already, or it is the worker's own, as a transceiver's link
                found.socket.close()

    def take_stored(self, name: str, fd: int) -> None:
        """Something that systemd has kept by that name, now ours; what is here already is closed."""
        kind, _, number = name.partition(".")
        index = int(number) if number.isdecimal() else 0
        try:
            if kind == "table":
                self._take_table(DescriptorKind.TABLE, fd)
                return
            found = bound(socket.socket(fileno=fd))
        except (OSError, ValueError):
            with suppress(OSError):
                os.close(fd)
            return
        found.socket.setblocking(False)
        links = {"link": self.links, "tcp_link": self.tcp_links}.get(kind)
        shared = {"tcp": self.tcp, "http": self.http}.get(kind)
        if kind == "public" and index not in self.public:
            self._rows.setdefault(index, []).append(found)
        elif links is not None and index not in links:
            links[index] = found
        elif shared is not None and found.endpoint not in [b.endpoint for b in shared]:
            shared.append(found)
        else:
            found.socket.close()

    def finish(self) -> None:
        """Nothing more is stored."""
        for index, row in self._rows.items():
            if self._fits(row):
                self.public[index] = row
            else:
                _close(row)
        self._rows = {}

    def _fits(self, row: list[BoundSocket]) -> bool:
        """All relays share their end points."""
        return all(
            [each.endpoint for each in other] == [each.endpoint for each in row]
            for other in self.public.values()
        )

    def _take_table(self, kind: DescriptorKind, fd: int) -> None:
        try:
            path = Path(f"/proc/self/fd/{fd}")
            found = _TABLE.fullmatch(str(path.readlink()))
            if found is None:
                raise ValueError(f"a {kind.value} that is no shared memory of flows")
            index = int(found[1])
            if index not in self.tables:
                # Opened anew, for a sibling's may only be read.
                self.tables[index] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(fd)

    def sockets(self) -> set[socket.socket]:
        """All sockets."""
        rows = (each for row in self.public.values() for each in row)
        shared = (*self.tcp, *self.http)
        links = (*self.links.values(), *self.tcp_links.values())
        ends = {end for estate in self.estates.values() for end in estate}
        return ends | {each.socket for each in (*rows, *links, *shared)}

    def hand_over(self) -> None:
        """The sockets are somebody else's now."""
        self.public, self.links, self.tcp_links, self.estates = {}, {}, {}, {}
        self.tcp, self.http = [], []

    def close(self) -> None:
        """Close what nobody has taken over."""
        for row in self.public.values():
            _close(row)
        _close([*self.links.values(), *self.tcp_links.values(), *self.tcp, *self.http])
        for estate in self.estates.values():
            for end in estate:
                end.close()
        close_all(self.tables.values())
        self.hand_over()
        self.tables = {}


def _socket(descriptor: Descriptor, fd: int) -> socket.socket:
    """Raises ValueError if it is bound to something else, or is no socket; then it is closed."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        raise ValueError(f"a {descriptor.kind.value} that is no socket") from None
    if descriptor.kind in (DescriptorKind.ESTATE_IN, DescriptorKind.ESTATE_OUT):
        if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            return sock
        sock.close()
        raise ValueError(f"a {descriptor.kind.value} that is no end of a pair")
    with suppress(OSError):
        host, port = sock.getsockname()[:2]
        joins = descriptor.kind in (DescriptorKind.PUBLIC, DescriptorKind.INGRESS) and not port
        if joins or Endpoint(host, port) == descriptor.endpoint:
            return sock
    sock.close()
    raise ValueError(f"a {descriptor.kind.value} that is not bound to {descriptor.endpoint}")


def _close(found: Iterable[BoundSocket]) -> None:
    for each in found:
        each.socket.close()
