"""What a datapath in Python needs of sockets, and how they write addresses."""

from __future__ import annotations

from typing import Any, Protocol

from config.ids import Endpoint

SockAddress = tuple[Any, ...]
"""What `recvfrom` returns and `sendto` takes: (host, port), for IPv6 with flow info and scope."""


class DatagramSocket(Protocol):
    """A public socket; a UDP one that is non-blocking is one."""

    def fileno(self) -> int:
        """Readable when there is something to read."""

    def recvfrom(self, size: int, /) -> tuple[bytes, SockAddress]:
        """The next datagram, cut to that size, and its client. Raises BlockingIOError without one."""

    def sendto(self, datagram: bytes | memoryview, address: SockAddress, /) -> int:
        """To a client, at once. Raises OSError: see `workers.wire.sending`."""


def sock_address(endpoint: Endpoint) -> SockAddress:
    """An end point as `recvfrom` would give it."""
    host, port = endpoint
    return (host, port, 0, 0) if ":" in host else (host, port)
