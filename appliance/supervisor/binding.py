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

HTTP_BACKLOG: Final = 1024
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
        tcp.listen(HTTP_BACKLOG)
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


def allow_foreign_address(udp: socket.socket) -> None:
    """An address the operator named may arrive later (a floating one): bind it all the same."""
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def set_receive_buffer(udp: socket.socket, size: int) -> int:
    """Ask for that many bytes, past the system's limit where we may; gives what was granted."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return receive_buffer(udp)


def receive_buffer(udp: socket.socket) -> int:
    """Bytes that were granted."""
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it
