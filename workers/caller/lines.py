"""The sockets and the tick of all calls.

Every call has sockets of its own, as a browser has (to a relay, a client's address *is* its flow). They
share one epoll set, itself waited for by trio as a single descriptor, so that a wake-up serves every
datagram that has come; and one clock of 2 ms slots over which the calls' 20 ms ticks are spread.
"""

from __future__ import annotations

import select
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Final

import trio

from config.ids import Endpoint, Transport
from workers.caller.call import Call, Stage
from workers.caller.source import FRAME_SECONDS
from workers.transceiver.core.interface import IceCredentials, Path, SendDatagram

SLOTS: Final = 10
SLOT_SECONDS: Final = FRAME_SECONDS / SLOTS
_MAX_DATAGRAM: Final = 2048
_READY_AT_ONCE: Final = 64
"""Bounds the time for which reading keeps the tick waiting."""
_ASLEEP: Final = 1.0
"""Seconds behind the clock after which missed ticks are left out: the machine was suspended."""


class Line:
    """A call's sockets, one per address family of the candidates."""

    def __init__(self, candidates: Iterable[Endpoint]) -> None:
        """Binds sockets; raises OSError only if no candidate's family is to be had."""
        self._sockets: dict[bool, socket.socket] = {}
        self.paths: dict[tuple[str, int], Path] = {}
        self.call: Call | None = None
        self.settled = trio.Event()
        """Set-up has ended, well or not."""
        self.over = trio.Event()
        self._stage = Stage.SETTING_UP
        self.refused: Counter[str] = Counter()
        """By error text: datagrams that the machine would not send."""
        problem = OSError("the answer has no candidate")
        for candidate in candidates:
            try:
                sock = self._socket(candidate.is_ipv6)
            except OSError as error:
                problem = error
                continue
            local = Endpoint(*sock.getsockname()[:2])
            self.paths[candidate] = Path(Transport.UDP, candidate, local)
        if not self.paths:
            raise problem

    def _socket(self, ipv6: bool) -> socket.socket:
        if ipv6 not in self._sockets:
            family = socket.AF_INET6 if ipv6 else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                sock.bind(("::" if ipv6 else "0.0.0.0", 0))  # noqa: S104 - the kernel picks per route
            except OSError:
                sock.close()
                raise
            self._sockets[ipv6] = sock
        return self._sockets[ipv6]

    @property
    def sockets(self) -> Iterable[socket.socket]:
        """All of them."""
        return self._sockets.values()

    def read(self, sock: socket.socket) -> None:
        """Give the call one datagram; if there are more, the socket stays ready."""
        assert self.call is not None
        try:
            datagram, source = sock.recvfrom(_MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self.refused[error.strerror or str(error)] += 1
            return
        path = self.paths.get(source[:2])
        if path is not None:
            self._act(self.call.receive(path, datagram, trio.current_time()))

    def tick(self, now: float) -> None:
        """Let the call do what is due."""
        assert self.call is not None
        self._act(self.call.tick(now))

    def restart(self, local: IceCredentials, remote: IceCredentials, now: float) -> None:
        """The server has answered an ICE restart."""
        if self.call is not None:
            self._act(self.call.restart(local, remote, now))

    def move(self) -> None:
        """As if the network changed: sockets on other ports, the old ones gone. Raises OSError.

        To the session its paths stay what they are, as behind a NAT that has rebound.
        """
        families, old = list(self._sockets), self._sockets
        self._sockets = {}
        try:
            for ipv6 in families:
                self._socket(ipv6)
        except OSError:
            for sock in self.sockets:
                sock.close()
            self._sockets = old
            raise
        for sock in old.values():
            sock.close()

    def network_changed(self, now: float) -> None:
        """Check the path from where we are now."""
        if self.call is not None:
            self._act(self.call.network_changed(now))

    def hang_up(self, now: float) -> None:
        """End the call and let go of the sockets."""
        if self.call is not None:
            self._act(self.call.hang_up(now))
        for sock in self.sockets:
            sock.close()

    def _act(self, sends: list[SendDatagram]) -> None:
        for send in sends:
            remote = send.path.remote
            try:
                self._sockets[":" in remote.host].sendto(send.datagram, remote)
            except OSError as error:
                self.refused[error.strerror or str(error)] += 1
        assert self.call is not None
        if self.call.stage is not self._stage:
            self._stage = self.call.stage
            self.settled.set()
            if self._stage is Stage.OVER:
                self.over.set()


class Lines:
    """Reads and ticks all lines; run `read` and `pace` in a nursery."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, tuple[Line, socket.socket]] = {}
        self._slots: list[dict[Line, None]] = [{} for _ in range(SLOTS)]
        self._slot = 0
        self.latest = 0.0
        """Seconds by which the worst tick came late: more than a few ms say that we are the brake."""

    @property
    def lines(self) -> Iterable[Line]:
        """All that are plugged in."""
        return (line for slot in self._slots for line in slot)

    def plug(self, line: Line) -> None:
        """From now on the line is read and ticked; its first tick is now."""
        self._watch(line)
        soonest = ((self._slot + ahead) % SLOTS for ahead in range(1, SLOTS + 1))
        self._slots[min(soonest, key=lambda slot: len(self._slots[slot]))][line] = None
        line.tick(trio.current_time())

    def unplug(self, line: Line) -> None:
        """Hang up, and forget the line."""
        self._unwatch(line)
        for slot in self._slots:
            slot.pop(line, None)
        line.hang_up(trio.current_time())

    def move(self, line: Line) -> None:
        """Give a line that is plugged in other sockets, and have it check its path from there."""
        self._unwatch(line)
        try:
            line.move()
        finally:
            self._watch(line)
        line.network_changed(trio.current_time())

    def _watch(self, line: Line) -> None:
        for sock in line.sockets:
            self._by_descriptor[sock.fileno()] = (line, sock)
            self._epoll.register(sock, select.EPOLLIN)

    def _unwatch(self, line: Line) -> None:
        for sock in line.sockets:
            if self._by_descriptor.pop(sock.fileno(), None) is not None:
                self._epoll.unregister(sock)

    async def read(self) -> None:
        """For ever: wait until any socket has something, and read it."""
        epoll, lines = self._epoll, self._by_descriptor
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            for descriptor, _ in epoll.poll(0, _READY_AT_ONCE):
                line, sock = lines[descriptor]
                line.read(sock)

    async def pace(self) -> None:
        """For ever: one slot after the other; late ones are caught up."""
        due = trio.current_time()
        while True:
            due += SLOT_SECONDS
            await trio.sleep_until(due)
            now = trio.current_time()
            late = now - due
            if late > _ASLEEP:
                due = now
            self._slot = (self._slot + 1) % SLOTS
            if slot := self._slots[self._slot]:
                self.latest = max(self.latest, late)
                for line in slot:
                    line.tick(now)

    def close(self) -> None:
        """Let go of the epoll set."""
        self._epoll.close()
