"""A longer way: a UDP proxy that hands every datagram on after a fixed time, in both directions.

There is no `tc netem` in every kernel, and a bench should not need root. Clients are told the proxy's
address instead of the relay's; each gets a socket of its own towards the relay, so the relay sees as many
clients as there are. A datagram leaves exactly `one_way` seconds after it came, in the order it came.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

Address: TypeAlias = tuple[str, int]
Fate: TypeAlias = Callable[[bool, bytes], bool]
"""(towards the server?, datagram) -> whether it arrives. Called in the proxy's thread."""

MAX_CLIENTS: Final = 512
"""Client addresses kept; the bench has a few at a time, and they end with it."""
_LARGEST: Final = 65_535
_BUFFER: Final = 4 << 20
"""Bytes a socket holds while the proxy waits for its turn: what is lost is to be lost by `fate`."""
_TICK: Final = 0.05
"""Seconds at most until a proxy that is to end notices it."""


class _Late(NamedTuple):
    due: float
    sender: socket.socket
    to: Address
    datagram: bytes


class DelayProxy:
    """Between clients that talk to `address` and the one server at `server`."""

    def __init__(
        self, host: str, server: Address, one_way: float, fate: Fate = lambda _to, _datagram: True
    ) -> None:
        self._fate = fate
        self._one_way = one_way
        self._server = server
        self._door = _udp(host)
        self._to_server: dict[Address, socket.socket] = {}
        self._clients: dict[socket.socket, Address] = {}
        self._queue: deque[_Late] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delay", daemon=True)

    @property
    def address(self) -> Address:
        """Where clients send to."""
        host, port = self._door.getsockname()
        return host, port

    def start(self) -> None:
        """Begin to forward, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what is still on its way is lost."""
        self._ended.set()
        self._thread.join()
        for sock in (self._door, *self._clients):
            sock.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            wait = self._queue[0].due - time.monotonic() if self._queue else _TICK
            # Not a poll: it counts in milliseconds.
            readable, _, _ = select.select([self._door, *self._clients], [], [], max(0.0, wait))
            now = time.monotonic()
            for sock in readable:
                self._receive(sock, now + self._one_way)
            while self._queue and self._queue[0].due <= time.monotonic():
                late = self._queue.popleft()
                late.sender.sendto(late.datagram, late.to)

    def _receive(self, sock: socket.socket, due: float) -> None:
        while True:
            try:
                datagram, source = sock.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            if not self._fate(sock is self._door, datagram):
                continue
            if sock is not self._door:
                self._queue.append(_Late(due, self._door, self._clients[sock], datagram))
            elif (way := self._way_of(source)) is not None:
                self._queue.append(_Late(due, way, self._server, datagram))

    def _way_of(self, client: Address) -> socket.socket | None:
        way = self._to_server.get(client)
        if way is None and len(self._to_server) < MAX_CLIENTS:
            way = self._to_server[client] = _udp(self._server[0])
            self._clients[way] = client
        return way


def _udp(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.bind((host, 0))
    return sock


@contextmanager
def delayed(
    server: Address, one_way: float, host: str, fate: Fate = lambda _to, _datagram: True
) -> Iterator[DelayProxy]:
    """A proxy that runs, ended behind you."""
    proxy = DelayProxy(host, server, one_way, fate)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
