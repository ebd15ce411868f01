"""Accepts connections, a bounded number at a time, and keeps what goes wrong in one of them there."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Final

import trio

from ipc.log import Logger
from workers.http.asgi import Application
from workers.http.http1 import HttpConnection, Limits

_NO_CAPACITY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_BREATH: Final = 0.1
"""Seconds to wait when the machine has no descriptor left; connections end meanwhile."""
_PRESSED: Final = 0.75
"""Share of the connections beyond which none is kept alive."""


class HttpServer:
    """Serves an ASGI application on listening sockets until it is drained."""

    def __init__(self, application: Application, limits: Limits, log: Logger) -> None:
        self._application = application
        self._limits = limits
        self._log = log
        self._slots = trio.CapacityLimiter(limits.max_connections)
        self._open: dict[HttpConnection, None] = {}
        """The oldest first."""
        self._draining = False
        self.responses: Counter[int] = Counter()
        self.guarded = 0
        """Connections that ended in an exception: each is a bug of ours or of a library."""
        self.evicted = 0
        """Connections that were slow with their request when another one needed the place."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def serve(
        self,
        sockets: Iterable[socket.socket],
        draining: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until `draining`, then return when all open requests are answered.

        The caller bounds the drain by cancelling. `sockets` are listening; they are closed at the end.
        """
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(it)) for it in sockets]
        async with trio.open_nursery() as connections:
            try:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    task_status.started()
                    await draining.wait()
                    accepting.cancel_scope.cancel()
            finally:
                for listener in listeners:
                    listener.socket.close()
            self._draining = True
            for connection in self._open:
                connection.stop_waiting()

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        while True:
            ticket = object()
            if not self._slots.available_tokens:
                await trio.lowlevel.wait_readable(listener.socket)
                self._make_room()
            await self._slots.acquire_on_behalf_of(ticket)
            try:
                stream = await listener.accept()
            except OSError as error:
                self._slots.release_on_behalf_of(ticket)
                if error.errno not in _NO_CAPACITY:
                    raise
                await trio.sleep(_BREATH)
                continue
            except BaseException:
                self._slots.release_on_behalf_of(ticket)
                raise
            connections.start_soon(self._guard, stream, ticket)

    async def _guard(self, stream: trio.SocketStream, ticket: object) -> None:
        """The wall around a connection: nothing but cancellation gets out."""
        connection = HttpConnection(
            stream,
            self._application,
            self._limits,
            answered=self._count,
            keep_alive=self._may_keep_alive,
            peer=_peer(stream.socket),
        )
        self._open[connection] = None
        try:
            await connection.run()
        except* Exception as group:
            self.guarded += 1
            if self.guarded.bit_count() == 1:  # a peer that found a bug must not fill the disk
                self._log.error("http connection failed", times=self.guarded, exc_info=group)
        finally:
            del self._open[connection]
            self._slots.release_on_behalf_of(ticket)
            stream.socket.close()

    def _make_room(self) -> None:
        """Who has been at a request for longest, or idle, goes for who comes now."""
        if not self._slots.available_tokens:
            for connection in self._open:
                if connection.make_room():
                    self.evicted += 1
                    return

    def _count(self, status: int) -> None:
        self.responses[status] += 1

    def _may_keep_alive(self) -> bool:
        return not self._draining and len(self._open) < _PRESSED * self._limits.max_connections


def _peer(connected: trio.socket.SocketType) -> tuple[str, int] | None:
    """Who is at the other end; None if he has gone already."""
    try:
        host, port = connected.getpeername()[:2]
    except OSError:
        return None
    return host, port
