"""The clients of the relay bench: many UDP sockets in one process, each a flow of its own."""

from __future__ import annotations

import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final

from config.ids import Endpoint

PAYLOAD: Final = bytes([0x80, 0x6F]) + bytes(158)
"""160 bytes that look like RTP, about 20 ms of Opus with its SRTP tag."""
_STAMP: Final = struct.Struct(">Bq")
_STAMPED: Final = 0xA5
_STAMP_AT: Final = 12


class Clients:
    """Connected UDP sockets towards one relay, and the ways to drive them."""

    def __init__(self, count: int, relay: Endpoint) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        self._poller = select.epoll()
        self._by_fd: dict[int, socket.socket] = {}
        for sock in self.sockets:
            sock.setblocking(False)
            sock.connect(relay)
            self._by_fd[sock.fileno()] = sock
            self._poller.register(sock, select.EPOLLIN)

    def close(self) -> None:
        """Close all sockets."""
        self._poller.close()
        for sock in self.sockets:
            sock.close()

    def arrivals(self, timeout: float) -> Iterator[tuple[socket.socket, bytes]]:
        """One datagram of each socket that has some."""
        for fd, _ in self._poller.poll(timeout):
            sock = self._by_fd[fd]
            try:
                yield sock, sock.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                continue

    def ask(self, questions: dict[socket.socket, bytes], within: float) -> int:
        """Send each socket's question, 100 at a time, again after 0.5 s; how many were answered."""
        open_ = dict(questions)
        deadline = time.monotonic() + within
        while open_ and time.monotonic() < deadline:
            for batch in _batches(list(open_), 100):
                for sock in batch:
                    sock.send(questions[sock])
                for sock, _ in self.arrivals(0.005):
                    open_.pop(sock, None)
            again = time.monotonic() + 0.5
            while open_ and time.monotonic() < again:
                for sock, _ in self.arrivals(0.01):
                    open_.pop(sock, None)
        return len(questions) - len(open_)

    def saturate(self, seconds: float, outstanding: int) -> int:
        """Keep `outstanding` datagrams of each flow under way; how many came back."""
        came, end = 0, time.monotonic() + seconds
        quiet_since = 0.0
        while (now := time.monotonic()) < end:
            before = came
            for fd, _ in self._poller.poll(0.01):
                sock = self._by_fd[fd]
                try:
                    sock.recv(2048)
                    came += 1
                    sock.send(PAYLOAD)
                except BlockingIOError:
                    continue
            if came == before and now - quiet_since > 0.05:  # the start, or all were lost
                quiet_since = now
                for _ in range(outstanding):
                    for sock in self.sockets:
                        sock.send(PAYLOAD)
        self.settle()
        return came

    def pace(self, seconds: float, rate: float) -> tuple[list[float], int]:
        """Send at `rate` datagrams a second over all flows; round trips in us, and how many were lost."""
        trips: list[float] = []
        sent = 0
        sockets = list(self.sockets)
        random.shuffle(sockets)
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            if sent < elapsed * rate:
                stamp = _STAMP.pack(_STAMPED, time.perf_counter_ns())
                datagram = PAYLOAD[:_STAMP_AT] + stamp + PAYLOAD[_STAMP_AT + _STAMP.size :]
                sockets[sent % len(sockets)].send(datagram)
                sent += 1
            self._take(trips)
        self.settle(lambda: self._take(trips))
        return trips, sent - len(trips)

    def _take(self, trips: list[float]) -> None:
        for _, datagram in self.arrivals(0):
            mark, sent_at = _STAMP.unpack_from(datagram, _STAMP_AT)
            if mark == _STAMPED:
                trips.append((time.perf_counter_ns() - sent_at) / 1e3)

    def settle(self, take: Callable[[], None] | None = None) -> None:
        """Let what is under way come in: until 0.2 s are quiet, and 3 s at most."""
        end = time.monotonic() + 3.0
        quiet_at = time.monotonic() + 0.2
        while (now := time.monotonic()) < min(end, quiet_at):
            if self._poller.poll(0.01, 1):
                quiet_at = now + 0.2
            if take is not None:
                take()
            else:
                for _ in self.arrivals(0.0):
                    pass


def _batches(sockets: list[socket.socket], size: int) -> Iterator[list[socket.socket]]:
    for start in range(0, len(sockets), size):
        yield sockets[start : start + size]
