"""A listening address of ICE-TCP that looks like a UDP socket: `recvfrom`, `sendto`, readable.

    clients --connections--> TcpPort --(datagram, address)--> the datapath, as from any public socket

One epoll set holds the listener and all its connections, so whoever waits for it waits for one descriptor,
and a connection that says nothing costs its few bytes here and nothing else.

**In.** Each turn accepts and reads a bounded number of times, READ_SIZE bytes of a connection at most; what
is no whole frame yet stays with its connection, and is shorter than one frame.
**Out.** A frame goes into the kernel's buffer or nowhere: one for which there is no room is lost, as it
would be on the way, since late media are of no use. What the kernel takes in part has to follow, so the
rest of that one frame is kept, and nothing else is sent before it.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from config.ids import Instant
from workers.relay.core.connections import READS_WITHIN, VOUCHED_WITHIN, Connections, Ending
from workers.wire.framing import encode_frame, split_frames
from workers.wire.link import MAX_PAYLOAD
from workers.wire.types import Malformed

READ_SIZE: Final = 4_096
"""Bytes: at least a frame of the longest kind."""
TURN: Final = 128
"""Ready descriptors of a turn."""
ACCEPTS: Final = 32
"""Connections that are taken when the listener is ready."""
FAREWELL: Final = 2.0
"""Seconds in which what was sent last may reach a client before its connection is closed."""

_IN: Final = select.EPOLLIN
_IN_AND_OUT: Final = select.EPOLLIN | select.EPOLLOUT
_NO_MORE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What `accept` says when the process or the machine has no room: the rest is about the one that left."""


class Connection:
    """One client's, and what of a frame is under way in each direction."""

    __slots__ = ("address", "port", "rest", "socket", "unsent")

    def __init__(self, port: TcpPort, sock: socket.socket, address: tuple[Any, ...]) -> None:
        self.port = port
        self.socket = sock
        self.address = address
        self.rest = b""
        """The beginning of a frame."""
        self.unsent = b""
        """The end of a frame."""


class TcpPort:
    """See the module. The listener is non-blocking and stays with its owner; connections are ours."""

    def __init__(self, listener: socket.socket, guests: Connections[Connection]) -> None:
        """`guests` are those of all ports of this relay."""
        self._listener = listener
        self._guests = guests
        self._epoll = select.epoll()
        self._listening = self._draining = False
        self._by_descriptor: dict[int, Connection] = {}
        self._by_address: dict[tuple[Any, ...], Connection] = {}
        self._ready: deque[tuple[int, int]] = deque()
        self._arrived: deque[tuple[bytes, tuple[Any, ...]]] = deque()
        self._blocked: dict[Connection, Instant] = {}
        """Since when they have taken nothing."""
        self._leaving: dict[Connection, Instant] = {}
        """Those that were told that it is over, and until when they may stay."""
        self._now: Instant = 0.0
        self._left = 0
        """Ready descriptors that may still be looked at in this turn."""
        self.accepted = 0
        self.ended: Counter[Ending] = Counter()
        self.on_end: Callable[[tuple[Any, ...]], None] = lambda address: None
        """Told of a connection that has ended without `hang_up`."""
        self._listen()

    def __len__(self) -> int:
        return len(self._by_descriptor)

    @property
    def backlog(self) -> int:
        """Datagrams that were read and not taken: nothing wakes anybody for them."""
        return len(self._arrived)

    # --- as a UDP socket --------------------------------------------------------------------------

    def fileno(self) -> int:
        """Of what is readable when there is something to do."""
        return self._epoll.fileno()

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[Any, ...]]:
        """The next datagram and its client. Raises BlockingIOError, also when the turn is over."""
        while not self._arrived:
            if not self._look():
                raise BlockingIOError(errno.EAGAIN, "nothing there")
        return self._arrived.popleft()

    def sendto(self, datagram: bytes | memoryview, address: tuple[Any, ...], /) -> int:
        """To a client that is connected, at once. Raises OSError: EAGAIN without room, ECONNREFUSED."""
        connection = self._by_address.get(address)
        if connection is None or connection in self._leaving:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "not connected")
        if connection.unsent:
            raise BlockingIOError(errno.EAGAIN, "a frame is under way")
        frame = encode_frame(datagram)
        try:
            sent = connection.socket.send(frame)
        except BlockingIOError:
            self._block(connection)
            raise
        except OSError:
            self.end(connection, Ending.LEFT)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "not connected any more") from None
        if sent < len(frame):
            connection.unsent = frame[sent:]
            self._block(connection)
        return len(datagram)

    # --- what else the datapath says --------------------------------------------------------------

    def begin_turn(self, now: Instant) -> None:
        """A bounded amount of work may be done from now on."""
        self._now = now
        self._left = TURN

    def vouch(self, address: tuple[Any, ...]) -> bool:
        """A transceiver wants to hear that client. False if it is not connected any more."""
        connection = self._by_address.get(address)
        if connection is None or connection in self._leaving:
            return False
        self._guests.vouch(connection)
        return True

    def hang_up(self, address: tuple[Any, ...], now: Instant) -> None:
        """Close that client's connection when it has had time to read what was sent."""
        connection = self._by_address.get(address)
        if connection is None or connection in self._leaving:
            return
        if connection.unsent:
            self.end(connection, Ending.FLOW_OVER)
            return
        self._leaving[connection] = now + FAREWELL
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)

    def sweep(self, now: Instant) -> None:
        """End what has had time enough."""
        self._now = now
        for connection in [c for c, since in self._blocked.items() if now - since >= READS_WITHIN]:
            self.end(connection, Ending.SLOW_READER)
        for connection in [c for c, until in self._leaving.items() if now >= until]:
            self.end(connection, Ending.FLOW_OVER)
        if not self._listening and not self._draining:
            self._listen()

    def stop_listening(self) -> None:
        """Take no new connections any more."""
        self._draining = True
        self._pause()

    def lasting(self) -> list[Connection]:
        """Those that were not told that it is over."""
        return [each for each in self._by_descriptor.values() if each not in self._leaving]

    def take(
        self, sock: socket.socket, within: float, rest: bytes, unsent: bytes, now: Instant
    ) -> Connection | None:
        """Go on with another port's connection, as a stranger who has that many seconds.

        None if it has ended, or may not stay. Raises OSError if it has ended and nobody was told of it.
        """
        self._now = now
        connection = self._welcome(sock, sock.getpeername(), within)
        if connection is not None:
            connection.rest = rest
            if unsent:
                connection.unsent = unsent
                self._block(connection)
        return connection

    def close(self) -> None:
        """Close all connections."""
        for connection in self._by_descriptor.values():
            connection.socket.close()
        self._by_descriptor.clear()
        self._by_address.clear()
        self._epoll.close()

    # --- one ready descriptor ---------------------------------------------------------------------

    def _look(self) -> bool:
        """Serve a descriptor that is ready; False if there is none, or the turn is over."""
        if not self._left:
            return False
        if not self._ready:
            self._ready.extend(self._epoll.poll(0, TURN))
            if not self._ready:
                return False
        self._left -= 1
        descriptor, what = self._ready.popleft()
        if descriptor == self._listener.fileno():
            self._accept()
            return True
        connection = self._by_descriptor.get(descriptor)
        if connection is None:  # it has ended since the set was asked
            return True
        if what & select.EPOLLOUT:
            self._flush(connection)
        if what & ~select.EPOLLOUT and descriptor in self._by_descriptor:
            self._read(connection)
        return True

    def _accept(self) -> None:
        for _ in range(ACCEPTS if self._listening else 0):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE:
                    self._pause()
                    return
                continue
            self.accepted += 1
            self._welcome(sock, address, VOUCHED_WITHIN)

    def _welcome(
        self, sock: socket.socket, address: tuple[Any, ...], within: float
    ) -> Connection | None:
        sock.setblocking(False)
        connection = Connection(self, sock, address)
        if (old := self._by_address.get(address)) is not None:
            # The kernel has forgotten it, so it has ended; we have only not been told yet.
            self.end(old, Ending.LEFT)
        refused, victim = self._guests.admit(connection, address[0], self._now, within)
        if victim is not None:
            victim.port.end(victim, Ending.CROWDED_OUT)
        if refused is not None:
            self.ended[refused] += 1
            sock.close()
            return None
        self._by_descriptor[sock.fileno()] = connection
        self._by_address[address] = connection
        self._epoll.register(sock, _IN)
        return connection

    def _read(self, connection: Connection) -> None:
        try:
            received = connection.socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.end(connection, Ending.LEFT)
            return
        if connection in self._leaving:
            return
        try:
            datagrams, connection.rest = split_frames(connection.rest + received, MAX_PAYLOAD)
        except Malformed:
            self.end(connection, Ending.OVERSIZE)
            return
        address = connection.address
        self._arrived.extend([(datagram, address) for datagram in datagrams])

    def _flush(self, connection: Connection) -> None:
        if connection.unsent:
            try:
                sent = connection.socket.send(connection.unsent)
            except BlockingIOError:
                return
            except OSError:
                self.end(connection, Ending.LEFT)
                return
            connection.unsent = connection.unsent[sent:]
            if connection.unsent:
                self._blocked[connection] = self._now
                return
        self._blocked.pop(connection, None)
        self._epoll.modify(connection.socket, _IN)

    def _block(self, connection: Connection) -> None:
        """Be told when it takes something again."""
        if connection not in self._blocked:
            self._blocked[connection] = self._now
            self._epoll.modify(connection.socket, _IN_AND_OUT)

    def end(self, connection: Connection, why: Ending) -> None:
        """Close a connection that is one of ours."""
        told = connection in self._leaving
        self._leaving.pop(connection, None)
        self._blocked.pop(connection, None)
        self._guests.leave(connection)
        del self._by_descriptor[connection.socket.fileno()]
        del self._by_address[connection.address]
        connection.socket.close()  # the epoll set forgets it with that
        self.ended[Ending.FLOW_OVER if told else why] += 1
        if not told:
            self.on_end(connection.address)

    def _listen(self) -> None:
        self._epoll.register(self._listener, _IN)
        self._listening = True

    def _pause(self) -> None:
        """With no room for another connection a ready listener would never let us sleep."""
        if self._listening:
            self._epoll.unregister(self._listener)
            self._listening = False
