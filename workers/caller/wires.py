"""How a call's datagrams travel: a UDP socket for every candidate of a family, or a connection each."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Final, Protocol

from config.ids import Endpoint
from workers.wire.framing import encode_frame, split_frames
from workers.wire.types import Malformed

MAX_DATAGRAM: Final = 2048
MAX_UNSENT: Final = 1 << 16
"""Bytes that may wait in front of a connection; what comes after them is lost, as on any full road."""
RECONNECT_AFTER: Final = 0.25
"""Seconds from one attempt to connect to the next."""
_READ_SIZE: Final = 1 << 16


class Wire(Protocol):
    """A socket of a call. Datagrams come with the address they are from, as the answer names it."""

    events: int
    """Of epoll, to wait for."""
    broken: bool
    """What it was connected to is gone."""

    @property
    def local(self) -> Endpoint:
        """Our own address."""

    def fileno(self) -> int:
        """The descriptor to wait for."""

    def receive(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        """What has come, if anything. Raises OSError."""

    def send(self, datagram: bytes, remote: Endpoint) -> None:
        """Raises OSError."""

    def renew(self, now: float) -> bool:
        """True if it is another socket now, because what it was connected to is gone. Raises OSError."""

    def close(self) -> None:
        """Let go of it."""


class UdpWire:
    """One socket for all candidates of a family."""

    events = select.EPOLLIN
    broken = False

    def __init__(self, *, ipv6: bool) -> None:
        """Raises OSError if the machine has no such family."""
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            # The kernel picks the address, per route.
            self._socket.bind(("::" if ipv6 else "0.0.0.0", 0))  # noqa: S104
        except OSError:
            self._socket.close()
            raise

    @property
    def local(self) -> Endpoint:
        """Our own address, a wildcard."""
        return Endpoint(*self._socket.getsockname()[:2])

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def receive(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        """One datagram; if there are more, the socket stays ready."""
        try:
            datagram, source = self._socket.recvfrom(MAX_DATAGRAM)
        except BlockingIOError:
            return
        yield datagram, source[:2]

    def send(self, datagram: bytes, remote: Endpoint) -> None:
        """At once."""
        self._socket.sendto(datagram, remote)

    def renew(self, now: float) -> bool:
        """Nothing is ever gone."""
        return False

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()


class TcpWire:
    """A connection to one candidate (RFC 6544, active), made again when it breaks."""

    # What has come is read to the end, and of room we are told once, when there is some again.
    events = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET

    def __init__(self, remote: Endpoint) -> None:
        """Begins to connect. Raises OSError if that cannot even be tried."""
        self._remote = remote
        self._tried_at: float | None = None
        self.broken = False
        self._connect()

    def _connect(self) -> None:
        family = socket.AF_INET6 if self._remote.is_ipv6 else socket.AF_INET
        self._unsent = self._rest = b""
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect(self._remote)
        except BlockingIOError:
            pass
        except OSError:
            self._socket.close()
            raise

    @property
    def local(self) -> Endpoint:
        """Our own address."""
        return Endpoint(*self._socket.getsockname()[:2])

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def receive(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        """All datagrams that have come. Raises OSError when the connection has broken."""
        self._flush()
        while not self.broken:
            try:
                received = self._socket.recv(_READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                self.broken = True
                raise
            if not received:
                self.broken = True
                raise ConnectionResetError(0, "the connection was closed")
            try:
                datagrams, self._rest = split_frames(self._rest + received, MAX_DATAGRAM)
            except Malformed as error:
                self.broken = True
                raise ConnectionResetError(0, f"no frames, {error}") from None
            for datagram in datagrams:
                yield datagram, self._remote

    def send(self, datagram: bytes, remote: Endpoint) -> None:
        """As soon as the connection has room for it."""
        if not self.broken and len(self._unsent) < MAX_UNSENT:
            self._unsent += encode_frame(datagram)
            self._flush()

    def _flush(self) -> None:
        if not self._unsent or self.broken:
            return
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.broken = True
            raise

    def renew(self, now: float) -> bool:
        """Connect again if the connection has broken and the last attempt was long enough ago."""
        if not self.broken:
            return False
        if self._tried_at is not None and now - self._tried_at < RECONNECT_AFTER:
            return False
        self._tried_at = now
        self._socket.close()
        self._connect()
        self.broken = False
        return True

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()
