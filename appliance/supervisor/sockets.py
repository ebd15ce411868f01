"""The sockets that outlive workers.

The supervisor binds and keeps them for as long as it lives. Workers get duplicates: when one dies, the
kernel keeps queueing for its successor, and the group of sockets that share a port (SO_REUSEPORT) never
changes. If it did, the kernel would move more than half of the other workers' flows.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from appliance.supervisor.addresses import ListenPoint, expand
from appliance.supervisor.problems import EXIT_CONFIG, EXIT_UNAVAILABLE, CannotStart
from appliance.supervisor.steering import steer
from config.ids import Endpoint
from config.model import Config, Steering

HTTP_BACKLOG: Final = 1024
_SO_RCVBUFFORCE: Final = 33
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78


class BoundSocket(NamedTuple):
    """A socket and what it is bound to."""

    endpoint: Endpoint
    socket: socket.socket


class Sockets:
    """All that is bound, and what the operator should know about it."""

    def __init__(self) -> None:
        self.public: list[list[BoundSocket]] = []
        """One list per relay worker, all with the same end points in the same order."""
        self.links: list[BoundSocket] = []
        """One per relay worker."""
        self.http: list[BoundSocket] = []
        self.warnings: list[str] = []
        self.wanted_buffer = 0
        self.granted_buffer = 0
        """Bytes of receive buffer per public socket."""

    def listening(self) -> tuple[Endpoint, ...]:
        """The public end points."""
        return tuple(bound.endpoint for bound in self.public[0]) if self.public else ()

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
        for bound in (*(b for row in self.public for b in row), *self.links):
            self.note_buffer(_set_receive_buffer(bound.socket, buffer))

    def note_buffer(self, granted: int) -> None:
        """One socket was granted so much."""
        self.granted_buffer = min(self.granted_buffer, granted)

    def close(self) -> None:
        """Close everything."""
        every = [*(b for row in self.public for b in row), *self.links, *self.http]
        for bound in every:
            bound.socket.close()


def open_sockets(config: Config, own: Sequence[str], relays: int) -> Sockets:
    """Bind everything that `config` asks for. Raises CannotStart with every problem there is."""
    sockets = Sockets()
    sockets.public = [[] for _ in range(relays)]
    sockets.wanted_buffer = sockets.granted_buffer = config.relay.receive_buffer
    failed: list[_Failure] = []
    for point in expand(config.relay.listen, own):
        try:
            _bind_public(sockets, point, config.relay.receive_buffer, own)
            _steer(sockets, config.relay.steering)
        except OSError as error:
            if point.explicit or error.errno != errno.EADDRNOTAVAIL:
                failed.append(_Failure(f"relay.listen[{point.entry}]", point.endpoint, error))
            else:  # an address may vanish, or not be usable yet (IPv6 duplicate detection)
                sockets.warnings.append(f"{point.endpoint} cannot be used now: {error.strerror}")
    for _ in range(relays):
        try:
            sockets.links.append(bind_link(config.link.address, config.relay.receive_buffer))
        except OSError as error:
            failed.append(_Failure("link.address", Endpoint(config.link.address, 0), error))
            break
    for entry, endpoint in enumerate(config.signaling.listen):
        try:
            sockets.http.append(_bind_http(endpoint))
        except OSError as error:
            failed.append(_Failure(f"signaling.listen[{entry}]", endpoint, error))
    problems = [failure.text() for failure in failed]
    if not sockets.listening() and not failed:
        problems.append("relay.listen: this host has no address that it stands for")
    if problems:
        sockets.close()
        passing = failed and all(f.error.errno == errno.EADDRINUSE for f in failed)
        raise CannotStart(problems, EXIT_UNAVAILABLE if passing else EXIT_CONFIG)
    return sockets


def bind_link(address: str, receive_buffer: int) -> BoundSocket:
    """A link socket on a port of the kernel's choice. Raises OSError."""
    if ip_address(address).is_unspecified:
        raise OSError(errno.EINVAL, "a link socket needs an exact address, not a wildcard")
    udp = _new_socket(Endpoint(address, 0), socket.SOCK_DGRAM)
    try:
        _set_receive_buffer(udp, receive_buffer)
        udp.bind((address, 0))
    except OSError:
        udp.close()
        raise
    return _bound(udp)


class _Failure(NamedTuple):
    path: str
    endpoint: Endpoint
    error: OSError

    def text(self) -> str:
        match self.error.errno:
            case errno.EADDRINUSE:
                why = (
                    "is in use by another program, maybe another appliance on this host; "
                    "stop it or choose another port"
                )
            case errno.EACCES if 0 < self.endpoint.port < 1024:
                why = "needs the right to use ports below 1024 (CAP_NET_BIND_SERVICE)"
            case errno.EAFNOSUPPORT | errno.EADDRNOTAVAIL if self.endpoint.is_ipv6:
                why = "cannot be bound: this host has no such IPv6 address, or IPv6 is switched off"
            case errno.EADDRNOTAVAIL:
                why = "cannot be bound: this host has no such address"
            case _:
                why = f"cannot be bound: {self.error.strerror}"
        return f"{self.path}: {self.endpoint} {why}"


def _bind_public(sockets: Sockets, point: ListenPoint, buffer: int, own: Iterable[str]) -> None:
    """One socket per relay worker on the same address and port."""
    members: list[BoundSocket] = []
    got = buffer
    try:
        for _ in sockets.public:
            udp = _new_socket(point.endpoint, socket.SOCK_DGRAM)
            members.append(BoundSocket(point.endpoint, udp))
            got = _set_receive_buffer(udp, buffer)
            if point.explicit:
                _allow_foreign_address(udp)
            if len(members) == 1:
                # The first binds alone: among sockets that share, the kernel would not tell us that another
                # appliance already has the port, and would give each half of the other's datagrams.
                udp.bind(tuple(point.endpoint))
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            else:
                udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                udp.bind(tuple(members[0].endpoint))
            members[-1] = _bound(udp)
    except OSError:
        for member in members:
            member.socket.close()
        raise
    for row, member in zip(sockets.public, members, strict=True):
        row.append(member)
    sockets.note_buffer(got)
    if point.explicit and point.endpoint.host not in own:
        sockets.warnings.append(
            f"relay.listen[{point.entry}]: {point.endpoint.host} is not an address of this host now"
        )


def _steer(sockets: Sockets, steering: Steering) -> None:
    """The group that was bound last. If it fails, the kernel's own hash does: not worth a refusal."""
    group = [row[-1] for row in sockets.public]
    try:
        steer([member.socket for member in group], steering, usable_cpus())
    except OSError as error:
        where = group[0].endpoint
        sockets.warnings.append(f"relay.steering: not for {where}: {error.strerror}")


def _bind_http(endpoint: Endpoint) -> BoundSocket:
    tcp = _new_socket(endpoint, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(tuple(endpoint))
        tcp.listen(HTTP_BACKLOG)
    except OSError:
        tcp.close()
        raise
    return _bound(tcp)


def _new_socket(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    new = socket.socket(socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET, kind)
    new.setblocking(False)
    if endpoint.is_ipv6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return new


def _bound(new: socket.socket) -> BoundSocket:
    host, port = new.getsockname()[:2]
    return BoundSocket(Endpoint(host, port), new)


def _allow_foreign_address(udp: socket.socket) -> None:
    """An address the operator named may arrive later (a floating one): bind it all the same."""
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def _set_receive_buffer(udp: socket.socket, size: int) -> int:
    """Ask for that many bytes, past the system's limit where we may; gives what was granted."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it


def usable_cpus() -> tuple[int, ...]:
    """CPUs this process may run on, in ascending order."""
    return tuple(sorted(os.sched_getaffinity(0)))
