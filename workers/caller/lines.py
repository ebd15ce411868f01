"""The sockets and the tick of all calls.

Every call has wires of its own, as a browser has (to a relay, a client's address *is* its flow). They
share one epoll set, itself waited for by trio as a single descriptor, so that a wake-up serves every
datagram that has come; and one clock of 2 ms slots over which the calls' 20 ms ticks are spread. A call
with a circuit leaves its wires to that once it talks, and is ticked when it has something to do.
"""

from __future__ import annotations

import math
import select
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import trio

from config.ids import Endpoint, Instant, Transport
from workers.caller.call import Call, Stage
from workers.caller.source import FRAME_SECONDS
from workers.caller.trunk import Circuit, News, Trunk
from workers.caller.wires import TcpWire, UdpWire, Wire
from workers.transceiver.core.interface import IceCredentials, Path, SendDatagram
from workers.transceiver.core.timers import Timers

SLOTS: Final = 10
SLOT_SECONDS: Final = FRAME_SECONDS / SLOTS
_READY_AT_ONCE: Final = 64
"""Bounds the time for which reading keeps the tick waiting."""
_ASLEEP: Final = 1.0
"""Seconds behind the clock after which missed ticks are left out: the machine was suspended."""


class Line:
    """A call's wires: one per address family of the candidates, or over TCP one per candidate."""

    def __init__(
        self, candidates: Iterable[Endpoint], transport: Transport = Transport.UDP
    ) -> None:
        """Opens sockets; raises OSError only if no candidate's family is to be had."""
        self._transport = transport
        self._wires: dict[Endpoint | bool, Wire] = {}
        self.paths: dict[tuple[str, int], Path] = {}
        self.call: Call | None = None
        self.circuit: Circuit | None = None
        """What carries its media, if not the call."""
        self.settled = trio.Event()
        """Set-up has ended, well or not."""
        self.over = trio.Event()
        self._stage = Stage.SETTING_UP
        self.reconnects = 0
        self.refused: Counter[str] = Counter()
        """By error text: datagrams that the machine would not send."""
        problem = OSError("the answer has no candidate")
        for candidate in candidates:
            try:
                wire = self._wire(self._which(candidate))
            except OSError as error:
                problem = error
                continue
            self.paths[candidate] = Path(transport, candidate, wire.local)
        if not self.paths:
            raise problem

    def _which(self, remote: Endpoint) -> Endpoint | bool:
        return remote if self._transport is Transport.TCP else remote.is_ipv6

    def _wire(self, which: Endpoint | bool) -> Wire:
        if which not in self._wires:
            self._wires[which] = UdpWire(ipv6=which) if isinstance(which, bool) else TcpWire(which)
        return self._wires[which]

    @property
    def wires(self) -> Iterable[Wire]:
        """All of them."""
        return self._wires.values()

    @property
    def carried(self) -> bool:
        """The circuit reads the wires, from when the call has talked."""
        return self.circuit is not None and self.call is not None and self.call.connected

    def hand_over(self) -> None:
        """Let the circuit read them."""
        assert self.circuit is not None
        for which, wire in self._wires.items():
            self.circuit.plug(wire.fileno(), ipv6=which is True)

    def take(self, news: News, now: Instant) -> None:
        """The circuit has read something for the session."""
        assert self.call is not None
        self._act(self.call.take(news, now))

    def read(self, wire: Wire) -> None:
        """Give the call what has come; if there is more, the wire stays ready."""
        assert self.call is not None
        try:
            for datagram, source in wire.receive():
                path = self.paths.get(source)
                if path is not None:
                    self._act(self.call.receive(path, datagram, trio.current_time()))
        except OSError as error:
            self.refused[error.strerror or str(error)] += 1

    def renew(self, now: float) -> Iterator[Wire]:
        """Connect again what has lost its connection, as browsers do: the wires that are others now.

        While that of media works nobody needs another one: a relay ends what is not used.
        """
        if self._stage is Stage.OVER or self._works():
            return
        for wire in self.wires:
            try:
                renewed = wire.renew(now)
            except OSError as error:
                self.refused[error.strerror or str(error)] += 1
                continue
            if renewed:
                self.reconnects += 1
                yield wire

    def _works(self) -> bool:
        """Whether media have a wire that is not broken."""
        path = None if self.call is None else self.call.path
        wire = None if path is None else self._wires.get(self._which(path.remote))
        return wire is not None and not wire.broken

    def tick(self, now: float) -> None:
        """Let the call do what is due."""
        assert self.call is not None
        self._act(self.call.tick(now))

    def restart(self, local: IceCredentials, remote: IceCredentials, now: float) -> None:
        """The server has answered an ICE restart."""
        if self.call is not None:
            self._act(self.call.restart(local, remote, now))

    def fail(self, why: str) -> None:
        """It has gone wrong outside."""
        if self.call is not None:
            self.call.fail(why)
            self._act([])

    def stop_talking(self) -> None:
        """Say no more, and end politely."""
        if self.call is not None:
            self.call.stop_talking()
            self._act([])

    def move(self) -> None:
        """As if the network changed: sockets on other ports, the old ones gone. Raises OSError.

        To the session its paths stay what they are, as behind a NAT that has rebound.
        """
        old, self._wires = self._wires, {}
        try:
            for which in old:
                self._wire(which)
        except OSError:
            for wire in self.wires:
                wire.close()
            self._wires = old
            raise
        for wire in old.values():
            wire.close()

    def network_changed(self, now: float) -> None:
        """Check the path from where we are now."""
        if self.call is not None:
            self._act(self.call.network_changed(now))

    def hang_up(self, now: float) -> None:
        """End the call and let go of the sockets."""
        if self.call is not None:
            self._act(self.call.hang_up(now))
        if self.circuit is not None:
            self.circuit.close()
        for wire in self.wires:
            wire.close()

    def _act(self, sends: list[SendDatagram]) -> None:
        circuit = self.circuit if self.carried else None
        for send in sends:
            if circuit is not None:
                circuit.send_datagram(send.path, send.datagram)
                continue
            remote = send.path.remote
            try:
                self._wires[self._which(remote)].send(send.datagram, remote)
            except OSError as error:
                self.refused[error.strerror or str(error)] += 1
        assert self.call is not None
        if self.call.stage is not self._stage:
            self._stage = self.call.stage
            self.settled.set()
            if self._stage is Stage.OVER:
                self.over.set()


class Lines:
    """Reads and ticks all lines; run `read`, `hear` and `pace` in a nursery."""

    def __init__(self, trunk: Trunk | None = None) -> None:
        """With a trunk, lines may have circuits."""
        self._trunk = trunk
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, tuple[Line, Wire]] = {}
        self._by_circuit: dict[Circuit, Line] = {}
        self._slots: list[dict[Line, None]] = [{} for _ in range(SLOTS)]
        self._slot = 0
        self._carried: dict[Line, None] = {}
        self._timers: Timers[Line] = Timers()
        """Of those."""
        self.latest = 0.0
        """Seconds by which the worst frame was late: more than a few ms say that we are the brake."""

    @property
    def lines(self) -> Iterable[Line]:
        """All that are plugged in."""
        return (line for lines in (*self._slots, self._carried) for line in lines)

    def plug(self, line: Line) -> None:
        """From now on the line is read and ticked; its first tick is now."""
        if line.circuit is not None:
            self._by_circuit[line.circuit] = line
        self._watch(line)
        soonest = ((self._slot + ahead) % SLOTS for ahead in range(1, SLOTS + 1))
        self._slots[min(soonest, key=lambda slot: len(self._slots[slot]))][line] = None
        line.tick(trio.current_time())

    def unplug(self, line: Line) -> None:
        """Hang up, and forget the line."""
        self._unwatch(line)
        self._forget(line)
        line.hang_up(trio.current_time())
        if line.circuit is not None:
            self._by_circuit.pop(line.circuit, None)
        self._flush()

    def move(self, line: Line) -> None:
        """Give a line that is plugged in other sockets, and have it check its path from there."""
        self._unwatch(line)
        try:
            line.move()
        finally:
            if line.carried:
                line.hand_over()
            else:
                self._watch(line)
        line.network_changed(trio.current_time())
        self._settle(line)

    def restart(self, line: Line, local: IceCredentials, remote: IceCredentials) -> None:
        """The server has answered an ICE restart of that line."""
        line.restart(local, remote, trio.current_time())
        self._settle(line)

    def stop_talking(self) -> None:
        """Let all calls end politely."""
        for line in self.lines:
            line.stop_talking()
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """After the call has had a turn: when its next one is, and what its circuit is asked for."""
        if line.carried and line.call is not None and line.call.due < math.inf:
            soonest = trio.current_time() + FRAME_SECONDS
            self._timers.set(line, max(soonest, line.call.due))
        self._flush()

    def _flush(self) -> None:
        if self._trunk is not None:
            self._trunk.flush()

    def _forget(self, line: Line) -> None:
        for lines in (*self._slots, self._carried):
            lines.pop(line, None)
        self._timers.remove(line)

    def _watch(self, line: Line) -> None:
        for wire in line.wires:
            self._watch_wire(line, wire)

    def _watch_wire(self, line: Line, wire: Wire) -> None:
        self._by_descriptor[wire.fileno()] = (line, wire)
        self._epoll.register(wire.fileno(), wire.events)

    def _unwatch(self, line: Line) -> None:
        for wire in line.wires:
            if self._by_descriptor.pop(wire.fileno(), None) is not None:
                self._epoll.unregister(wire.fileno())

    def _read(self, line: Line, wire: Wire) -> None:
        line.read(wire)
        if line.carried:
            self._unwatch(line)
            self._forget(line)
            self._carried[line] = None
            line.hand_over()
            self._settle(line)

    def _tick(self, line: Line, now: float) -> None:
        for wire in line.renew(now):
            self._watch_wire(line, wire)
            line.network_changed(now)
        line.tick(now)

    async def read(self) -> None:
        """For ever: wait until any socket has something, and read it."""
        epoll, lines = self._epoll, self._by_descriptor
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            for descriptor, _ in epoll.poll(0, _READY_AT_ONCE):
                if (ready := lines.get(descriptor)) is not None:  # not handed over meanwhile
                    self._read(*ready)

    async def hear(self) -> None:
        """For ever: take up what circuits have read for sessions."""
        trunk = self._trunk
        while trunk is not None:
            await trio.lowlevel.wait_readable(trunk.descriptor)
            for circuit, news in trunk.news():
                if (line := self._by_circuit.get(circuit)) is not None:
                    line.take(news, trio.current_time())
                    self._settle(line)

    async def pace(self) -> None:
        """For ever: one slot after the other; late ones are caught up."""
        due = trio.current_time()
        while True:
            # To be awake costs more than to look at timers.
            due += SLOT_SECONDS if any(self._slots) else FRAME_SECONDS
            await trio.sleep_until(due)
            now = trio.current_time()
            late = now - due
            if late > _ASLEEP:
                due = now
            self._slot = (self._slot + 1) % SLOTS
            for line in self._slots[self._slot]:
                self._tick(line, now)
                if line.circuit is None:
                    self.latest = max(self.latest, late)
            for line in self._timers.due(now):
                line.tick(now)
                self._settle(line)

    def close(self) -> None:
        """Let go of the epoll set, and of the trunk."""
        self._epoll.close()
        if self._trunk is not None:
            self._trunk.end()
