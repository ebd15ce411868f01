"""The sockets that outlive workers.

The supervisor binds and keeps them for as long as it lives. Workers get duplicates: when one dies, the
kernel keeps queueing for its successor, and the group of sockets that share a port (SO_REUSEPORT) never
changes by itself. If it did, the kernel would move more than half of the other workers' flows.

When the operator wants another number of relays it has to change. A socket joins its group when its
worker reads it, and leaves it when nothing has been steered to it for as long as any client may be silent,
so no datagram is in a socket that nobody reads.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from appliance.supervisor.addresses import ListenPoint, expand
from appliance.supervisor.binding import (
    BoundSocket,
    allow_foreign_address,
    bind_http,
    bind_link,
    bind_tcp,
    bound,
    may_bind,
    new_socket,
    receive_buffer,
    set_receive_buffer,
)
from appliance.supervisor.problems import EXIT_CONFIG, EXIT_UNAVAILABLE, CannotStart
from appliance.supervisor.recovered import EstatePair, Recovered
from appliance.supervisor.steering import Steering
from config.ids import Endpoint
from config.listeners import is_this_host
from config.model import Config
from config.model import Steering as Way
from ipc.parcels import parcel_pair


class Sockets:
    """All that is bound, and what the operator should know about it."""

    def __init__(self) -> None:
        self.public: list[list[BoundSocket]] = []
        """One list per relay worker, all with the same end points in the same order."""
        self.ingress: Endpoint | None = None
        """Of those end points the one to which not clients send, but Global Relays."""
        self.links: list[BoundSocket] = []
        """One per relay worker."""
        self.tcp: list[BoundSocket] = []
        """Listeners of ICE-TCP, shared by all relay workers."""
        self.tcp_links: list[BoundSocket] = []
        """One more per relay worker, for its flows over TCP; none if there are no listeners."""
        self.estates: list[EstatePair] = []
        """One per relay worker, as `tcp_links`: its connections go by it to the next one of its name."""
        self.http: list[BoundSocket] = []
        self.warnings: list[str] = []
        self.wanted_buffer = 0
        self.granted_buffer = 0
        """Bytes of receive buffer per public socket."""
        self.steering = Steering(Way.HASH, ())
        self.link_address = ""
        self.joined = 0
        """Relay workers whose public sockets are bound; those of the others are about to be."""

    def listening(self) -> tuple[Endpoint, ...]:
        """The public end points."""
        return tuple(e for e in self.endpoints() if e != self.ingress)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All end points of relays, in the order of their sockets."""
        return tuple(bound.endpoint for bound in self.public[0]) if self.public else ()

    def link_addresses(self) -> tuple[tuple[Endpoint, ...], ...]:
        """Those of each relay worker."""
        return tuple(
            tuple(bound.endpoint for bound in (link, *self.tcp_links[index : index + 1]))
            for index, link in enumerate(self.links)
        )

    def buffer_warning(self) -> str:
        """That the kernel grants less receive buffer than is wanted; empty if it does not."""
        if self.granted_buffer >= self.wanted_buffer:
            return ""
        return (
            f"relay.receive_buffer: the kernel grants {self.granted_buffer} bytes of "
            f"{self.wanted_buffer}; raise net.core.rmem_max, or datagrams are lost while a worker is "
            "replaced"
        )

    def resize(self, buffer: int) -> None:
        """Give every UDP socket that much receive buffer; datagrams in it stay."""
        self.wanted_buffer = self.granted_buffer = buffer
        for each in (*(b for row in self.public for b in row), *self.links, *self.tcp_links):
            self.note_buffer(set_receive_buffer(each.socket, buffer))

    def note_buffer(self, granted: int) -> None:
        """One socket was granted so much."""
        self.granted_buffer = min(self.granted_buffer, granted)

    def prepare(self, relays: int) -> None:
        """Sockets for so many relay workers, the new ones not bound yet: no flow moves. Raises OSError."""
        try:
            for _ in range(len(self.public), relays):
                row: list[BoundSocket] = []
                self.public.append(row)
                row.extend(BoundSocket(b.endpoint, self.member(b)) for b in self.public[0])
                self._add_links()
        except OSError:
            self.keep(self.joined)
            raise

    def _add_links(self) -> None:
        """What one more relay worker needs beside its public sockets."""
        self.links.append(bind_link(self.link_address, self.wanted_buffer))
        if self.tcp:
            self.tcp_links.append(bind_link(self.link_address, self.wanted_buffer))
            self.estates.append(EstatePair(*parcel_pair()))

    def member(self, first: BoundSocket) -> socket.socket:
        """One more of its group, not bound yet. Raises OSError."""
        udp = new_socket(first.endpoint, socket.SOCK_DGRAM)
        try:
            self.note_buffer(set_receive_buffer(udp, self.wanted_buffer))
            allow_foreign_address(udp)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError:
            udp.close()
            raise
        return udp

    def steer(self, relays: int) -> None:
        """Let the first so many relay workers, which read by now, get all datagrams. Raises OSError."""
        for row in self.public[self.joined : relays]:
            for member in row:
                member.socket.bind(tuple(member.endpoint))
        self.joined = max(self.joined, relays)
        for group in self.groups():
            self.steering.steer(group, relays)

    def keep(self, relays: int) -> None:
        """Close the sockets of all but the first so many: nothing is steered to them, nobody reads them.

        From the last to the first, since the kernel gives the place of a closed one to the last.
        """
        removed = [*(b for row in self.public[relays:] for b in row)]
        removed += [*self.links[relays:], *self.tcp_links[relays:]]
        ends = [end for estate in self.estates[relays:] for end in estate]
        del (
            self.public[relays:],
            self.links[relays:],
            self.tcp_links[relays:],
            self.estates[relays:],
        )
        for each in reversed(removed):
            each.socket.close()
        for end in ends:
            end.close()
        if relays < self.joined:
            self.joined = relays
            for group in self.groups():
                with suppress(OSError):  # what is in force suits those that are left, too
                    self.steering.steer(group, relays)

    def note_failure(
        self, key: str, point: ListenPoint, error: OSError, failed: list[Failure]
    ) -> None:
        """An address could not be bound: add that to `failed`, unless nobody has asked for it by name."""
        if point.explicit or error.errno != errno.EADDRNOTAVAIL:
            failed.append(Failure(key, point.endpoint, error))
        else:  # an address may vanish, or not be usable yet (IPv6 duplicate detection)
            self.warnings.append(f"{point.endpoint} cannot be used now: {error.strerror}")

    def groups(self) -> list[list[socket.socket]]:
        """For each end point the sockets that share it, as the kernel numbers them."""
        members = self.public[: self.joined]
        return [[row[n].socket for row in members] for n in range(len(self.endpoints()))]

    def by_name(self) -> dict[str, list[int]]:
        """The descriptors of all that is bound, by what it is for and by whom."""
        rows = self.public[: self.joined]
        named = {f"public.{n}": [b.socket.fileno() for b in row] for n, row in enumerate(rows)}
        for kind, links in ("link", self.links), ("tcp_link", self.tcp_links):
            joined = enumerate(links[: self.joined])
            named |= {f"{kind}.{n}": [b.socket.fileno()] for n, b in joined}
        shared = {"tcp": self.tcp, "http": self.http}
        return named | {kind: [b.socket.fileno() for b in each] for kind, each in shared.items()}

    def close(self, but: Recovered | None = None) -> None:
        """Close everything, but for what came back."""
        kept = set() if but is None else but.sockets()
        every = [*(b for row in self.public for b in row), *self.links, *self.http]
        every += [*self.tcp, *self.tcp_links]
        ends = [end for estate in self.estates for end in estate]
        for sock in (*(each.socket for each in every), *ends):
            if sock not in kept:
                sock.close()


def open_sockets(
    config: Config, own: Sequence[str], relays: int, recovered: Recovered | None = None
) -> Sockets:
    """Have everything that `config` asks for: what came back of it, and the rest bound anew.

    Raises CannotStart with every problem there is; then `recovered` is as it was, else it is ours.
    """
    back = recovered or Recovered()
    sockets = Sockets()
    sockets.wanted_buffer = sockets.granted_buffer = config.relay.receive_buffer
    sockets.link_address = config.link.address
    sockets.steering = Steering(config.relay.steering, usable_cpus())
    failed: list[Failure] = []
    if back.public:
        failed += _restore_public(sockets, config, back, relays)
    elif relays:
        failed += _open_public(sockets, config, own, relays)
    try:
        _have_links(sockets, back)
    except OSError as error:
        failed.append(Failure("link.address", Endpoint(config.link.address, 0), error))
    sockets.http = list(back.http)
    listen = config.signaling.listen if config.has_transceivers and not back.http else ()
    for entry, endpoint in enumerate(listen):
        try:
            sockets.http.append(bind_http(endpoint))
        except OSError as error:
            failed.append(Failure(f"signaling.listen[{entry}]", endpoint, error))
    problems = [failure.text() for failure in failed]
    if relays and not sockets.listening() and not failed:
        problems.append("relay.listen: this host has no address that it stands for")
    if problems:
        sockets.close(but=back)
        passing = failed and all(f.error.errno == errno.EADDRINUSE for f in failed)
        raise CannotStart(problems, EXIT_UNAVAILABLE if passing else EXIT_CONFIG)
    back.hand_over()
    return sockets


def _open_public(
    sockets: Sockets, config: Config, own: Sequence[str], relays: int
) -> list[Failure]:
    """Bind a group for each public end point; gives what failed."""
    sockets.public = [[] for _ in range(relays)]
    failed: list[Failure] = []
    for point in expand(config.relay.listen, own):
        where = f"relay.listen[{point.entry}]"
        try:
            _bind_public(sockets, point, own, where)
        except OSError as error:
            sockets.note_failure(where, point, error, failed)
    if (ingress := config.cluster.ingress) is not None:
        sockets.ingress = ingress
        try:
            _bind_public(sockets, ListenPoint(ingress, 0, explicit=True), own, "cluster.ingress")
        except OSError as error:
            failed.append(Failure("cluster.ingress", ingress, error))
    for point in expand(config.relay.tcp_listen, own):
        try:
            sockets.tcp.append(bind_tcp(point.endpoint, foreign=point.explicit))
        except OSError as error:
            named = f"relay.listen_tcp[{point.entry}]"
            same = f"relay.listen[{point.entry}], by TCP (without it: relay.tcp = false)"
            key = named if config.relay.listen_tcp else same
            sockets.note_failure(key, point, error, failed)
    sockets.joined = relays
    _steer(sockets, relays)
    return failed


def _restore_public(
    sockets: Sockets, config: Config, back: Recovered, relays: int
) -> list[Failure]:
    """The groups that there were; a place whose sockets nobody had gets new ones. Gives what failed.

    Neither are groups left for addresses that have gone, nor made for new ones: so it would be if the
    supervisor had not died. The kernel numbers a socket that joins now as the last.
    """
    first = back.public[min(back.public)]
    sockets.tcp = list(back.tcp)
    sockets.ingress = config.cluster.ingress
    failed: list[Failure] = []
    changed = False
    for index in range(max(relays, max(back.public) + 1)):
        row = back.public.get(index) or [BoundSocket(b.endpoint, sockets.member(b)) for b in first]
        sockets.public.append(row)
        for each in row:
            if not each.socket.getsockname()[1]:
                changed = True
                try:
                    each.socket.bind(tuple(each.endpoint))
                except OSError as error:
                    failed.append(Failure("relay.listen", each.endpoint, error))
            sockets.note_buffer(receive_buffer(each.socket))
    sockets.joined = len(sockets.public)
    if changed and not failed:
        _steer(sockets, relays)
    return failed


def _have_links(sockets: Sockets, back: Recovered) -> None:
    """Those that came back, and new ones for the other relays. Raises OSError."""
    kinds = [(sockets.links, back.links)]
    if sockets.tcp:
        kinds.append((sockets.tcp_links, back.tcp_links))
    for index in range(sockets.joined):
        for place, (links, found) in enumerate(kinds, start=index * len(kinds)):
            links.append(found.get(index) or _open_link(sockets, back, place))
        if sockets.tcp:
            sockets.estates.append(back.estates.get(index) or EstatePair(*parcel_pair()))


def _open_link(sockets: Sockets, back: Recovered, place: int) -> BoundSocket:
    """Where transceivers know that relay to be, if that can be had, else anywhere. Raises OSError."""
    address, buffer = sockets.link_address, sockets.wanted_buffer
    if place < len(back.peers):
        with suppress(OSError):
            return bind_link(address, buffer, back.peers[place].port)
    return bind_link(address, buffer)


def _steer(sockets: Sockets, relays: int) -> None:
    for group, where in zip(sockets.groups(), sockets.endpoints(), strict=True):
        try:
            sockets.steering.steer(group, relays)
        except OSError as error:  # the kernel's own hash does: not worth a refusal
            sockets.warnings.append(f"relay.steering: not for {where}: {error.strerror}")


def _bind_public(sockets: Sockets, point: ListenPoint, own: Iterable[str], where: str) -> None:
    """One socket per relay worker on the same address and port."""
    members: list[BoundSocket] = []
    buffer = sockets.wanted_buffer
    got = buffer
    try:
        for _ in sockets.public:
            udp = new_socket(point.endpoint, socket.SOCK_DGRAM)
            members.append(BoundSocket(point.endpoint, udp))
            got = set_receive_buffer(udp, buffer)
            if point.explicit:
                allow_foreign_address(udp)
            if len(members) == 1:
                # The first binds alone: among sockets that share, the kernel would not tell us that another
                # appliance already has the port, and would give each half of the other's datagrams.
                udp.bind(tuple(point.endpoint))
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            else:
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                udp.bind(tuple(members[0].endpoint))
            members[-1] = bound(udp)
    except OSError:
        for member in members:
            member.socket.close()
        raise
    for row, member in zip(sockets.public, members, strict=True):
        row.append(member)
    sockets.note_buffer(got)
    host = point.endpoint.host
    if point.explicit and host not in own and not is_this_host(host):
        sockets.warnings.append(f"{where}: {host} is not an address of this host now")


class Failure(NamedTuple):
    """An address that cannot be had."""

    path: str
    endpoint: Endpoint
    error: OSError

    def text(self) -> str:
        """For the operator."""
        match self.error.errno:
            case errno.EADDRINUSE:
                why = (
                    "is in use by another program, maybe another appliance on this host; "
                    "stop it or choose another port"
                )
            case errno.EACCES if 0 < self.endpoint.port < 1024:
                why = f"is a privileged port; {may_bind(self.endpoint.port)}"
            case errno.EAFNOSUPPORT | errno.EADDRNOTAVAIL if self.endpoint.is_ipv6:
                why = "cannot be bound: this host has no such IPv6 address, or IPv6 is switched off"
            case errno.EADDRNOTAVAIL:
                why = "cannot be bound: this host has no such address"
            case _:
                why = f"cannot be bound: {self.error.strerror}"
        return f"{self.path}: {self.endpoint} {why}"


def usable_cpus() -> tuple[int, ...]:
    """CPUs this process may run on, in ascending order."""
    return tuple(sorted(os.sched_getaffinity(0)))
