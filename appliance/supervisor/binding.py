"""One socket: made non-blocking, never inherited, and bound.

A socket of a group (SO_REUSEPORT) is made first and bound when there is somebody to read it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from config.ids import Endpoint

BACKLOG: Final = 1024
TCP_BUFFER: Final = 65_536
"""Bytes that the kernel holds for a client of ICE-TCP in each direction, at most."""
TCP_UNSENT: Final = 16_384
"""Bytes of them that may wait to be sent: two seconds of a voice, and later ones are of no use."""
UNPRIVILEGED: Final = "net.ipv4.ip_unprivileged_port_start"
"""The sysctl that says from which port on everybody may bind, in IPv6, too."""
_SO_RCVBUFFORCE: Final = 33
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78


class BoundSocket(NamedTuple):
    """A socket and what it is, or will be, bound to."""

    endpoint: Endpoint
    socket: socket.socket


def bind_link(address: str, buffer: int, port: int = 0) -> BoundSocket:
    """A link socket, by default on a port of the kernel's choice. Raises OSError."""
    if ip_address(address).is_unspecified:
        raise OSError(errno.EINVAL, "a link socket needs an exact address, not a wildcard")
    udp = new_socket(Endpoint(address, 0), socket.SOCK_DGRAM)
    try:
        set_receive_buffer(udp, buffer)
        udp.bind((address, port))
    except OSError:
        udp.close()
        raise
    return bound(udp)


def bind_http(endpoint: Endpoint) -> BoundSocket:
    """A listening socket. Raises OSError."""
    tcp = new_socket(endpoint, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(tuple(endpoint))
        tcp.listen(BACKLOG)
    except OSError:
        tcp.close()
        raise
    return bound(tcp)


def bind_tcp(endpoint: Endpoint, *, foreign: bool) -> BoundSocket:
    """A listening socket for ICE-TCP. What is set here its connections inherit. Raises OSError.

    All relays accept from the same one: when a worker dies the others have its queue, and another number
    of workers moves nothing.
    """
    tcp = new_socket(endpoint, socket.SOCK_STREAM)
    try:
        if foreign:
            allow_foreign_address(tcp)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_BUFFER)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TCP_BUFFER)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, TCP_UNSENT)
        tcp.bind(tuple(endpoint))
        tcp.listen(BACKLOG)
    except OSError:
        tcp.close()
        raise
    return bound(tcp)


def bind_ops(endpoints: Sequence[Endpoint]) -> list[BoundSocket]:
    """Listening sockets, all or none. Raises OSError that says which could not be bound."""
    sockets: list[BoundSocket] = []
    for entry, endpoint in enumerate(endpoints):
        try:
            sockets.append(bind_http(endpoint))
        except OSError as error:
            for each in sockets:
                each.socket.close()
            where = f"ops.listen[{entry}]: {endpoint}"
            raise OSError(f"{where} cannot be bound: {error.strerror}") from None
    return sockets


def new_socket(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    """Not bound yet. Raises OSError."""
    new = socket.socket(socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET, kind)
    new.setblocking(False)
    if endpoint.is_ipv6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return new


def bound(new: socket.socket) -> BoundSocket:
    """With the end point that the kernel says it is bound to."""
    host, port = new.getsockname()[:2]
    return BoundSocket(Endpoint(host, port), new)


def allow_foreign_address(new: socket.socket) -> None:
    """An address the operator named may arrive later (a floating one): bind it all the same."""
    if new.family == socket.AF_INET6:
        new.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        new.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def set_receive_buffer(udp: socket.socket, size: int) -> int:
    """Ask for that many bytes, past the system's limit where we may; gives what was granted."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return receive_buffer(udp)


def may_bind(port: int) -> str:
    """What an operator types so that we may have a port that is privileged."""
    setting = f"{UNPRIVILEGED}={port}"
    return (
        f"sysctl -w {setting}, and to keep it: echo {setting} > /etc/sysctl.d/61-tandem-ports.conf"
    )


def receive_buffer(udp: socket.socket) -> int:
    """Bytes that were granted."""
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it
