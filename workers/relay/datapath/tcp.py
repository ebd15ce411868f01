"""The datapath of ICE-TCP: the one in Python, whose public sockets hold connections.

What is different is that a client can leave, and can be sent away. A flow ends with its connection, and a
connection with its flow; and a connection that no transceiver vouches for ends soon (`core/connections`).
It shares nothing with the datapath of UDP, which goes on in its own thread whatever happens here.

Its table dies with the process. When that ends in order its connections go to the next one of its name
(`estates.py`), and with each its flow.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial

from config.ids import Endpoint, FlowKey, Instant, Transport
from workers.relay.core.connections import VOUCHED_WITHIN, Connections, Ending
from workers.relay.core.estate import LeftConnection, LeftFlow, may_be_left
from workers.relay.core.flowtable import SlotMemory
from workers.relay.core.interface import InstallFlow, RemoveFlow, RemoveRoute
from workers.relay.datapath.parts import Flow
from workers.relay.datapath.python import PythonDatapath
from workers.relay.datapath.sockets import SockAddress, sock_address
from workers.relay.datapath.tcp_port import Connection, TcpPort


class TcpDatapath(PythonDatapath):
    """See the module. Listeners and link are non-blocking, bound, and stay with their owner."""

    def __init__(
        self,
        listeners: Sequence[tuple[Endpoint, socket.socket]],
        link: socket.socket,
        *,
        mtu: int,
        idle: float,
        max_flows: int,
    ) -> None:
        """As of any datapath."""
        self._guests: Connections[Connection] = Connections()
        self._tcp = {local: TcpPort(sock, self._guests) for local, sock in listeners}
        self._turns = list(self._tcp.values())
        self._ended_flows: list[tuple[Endpoint, SockAddress]] = []
        super().__init__(
            list(self._tcp.items()),
            link,
            mtu=mtu,
            idle=idle,
            max_flows=max_flows,
            transport=Transport.TCP,
        )
        self._taken_labels: dict[int, int] = {}
        """By slot."""
        fresh = SlotMemory.fresh(max_flows, os.urandom)
        self._slots = SlotMemory(fresh.generations, fresh.used, self._taken_labels.values())
        self.memory = self._slots
        self._lost: Counter[Ending] = Counter()
        """Connections that were to be taken over and never were ours."""
        self.taken = 0
        """Connections that an earlier process has left, so far."""
        for local, port in self._tcp.items():
            port.on_end = partial(self._client_left, local)

    @property
    def connections(self) -> int:
        """That are open now."""
        return sum(map(len, self._turns))

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return sum(port.accepted for port in self._turns)

    @property
    def ended(self) -> Counter[Ending]:
        """Those that have ended. Law: `accepted + taken == connections + sum(ended)`."""
        return sum((port.ended for port in self._turns), Counter(self._lost))

    def pump_public(self, index: int, budget: int, now: Instant) -> int:
        """Accept and read a bounded number of times. How many datagrams came."""
        port = self._turns[index]
        port.begin_turn(now)
        received = super().pump_public(index, budget, now)
        # A connection may have brought more than that at once, and nothing would wake us for it.
        while left := port.backlog:
            received += super().pump_public(index, left, now)
        self._hang_up(now)
        return received

    def install(self, flow: InstallFlow, now: Instant) -> None:
        """Forward this flow from now on, unless its client has left meanwhile."""
        super().install(flow, now)
        address = sock_address(flow.key.client)
        if not self._tcp[flow.key.local].vouch(address):
            self._client_left(flow.key.local, address)
        self._hang_up(now)

    def remove(self, flow: RemoveFlow, now: Instant) -> None:
        """Forward it no longer, and close its connection."""
        super().remove(flow, now)
        self._hang_up(now)

    def remove_route(self, route: RemoveRoute, now: Instant) -> None:
        """The same for all flows of that route, little by little."""
        super().remove_route(route, now)
        self._hang_up(now)

    def sweep(self, now: Instant) -> None:
        """Look for flows and connections that are to end."""
        super().sweep(now)
        self._hang_up(now)
        for stranger in self._guests.overdue(now):
            stranger.port.end(stranger, Ending.NOT_VOUCHED)
        for port in self._turns:
            port.sweep(now)

    def stop_listening(self) -> None:
        """Take no new connections."""
        for port in self._turns:
            port.stop_listening()

    def close(self) -> None:
        """Close all connections."""
        for port in self._turns:
            port.close()

    # --- from one process to the next -------------------------------------------------------------

    @property
    def slots(self) -> bytes:
        """Generations of the slots that have ever had a label."""
        return bytes(self._slots.generations[: self._slots.used[0]])

    def left(self, now: Instant) -> list[tuple[LeftConnection, socket.socket]]:
        """All connections that can go on elsewhere: those of sessions, then strangers, oldest first."""
        found = []
        for local, port in self._tcp.items():
            flows = self._port_of[local].flows
            for each in port.lasting():
                flow = _left(flows.get(each.address), now)
                within = self._guests.remaining(each, now) or 0.0
                left = LeftConnection(local, each.rest, each.unsent, flow, within)
                if may_be_left(left):
                    found.append((left, each.socket))
        return sorted(found, key=lambda each: (each[0].flow is None, each[0].within))

    def take_slots(self, slots: bytes) -> None:
        """An earlier process has used these; to be told before there is a core, too."""
        used = min(len(slots), len(self._slots.generations))
        self._slots.generations[:used] = slots[:used]
        self._slots.used[0] = max(self._slots.used[0], used)

    def take(
        self, left: LeftConnection | None, sock: socket.socket | None, age: float, now: Instant
    ) -> None:
        """Go on with a connection that was left that many seconds ago, before there is a core.

        The socket is ours from now on. Without it, or without what it is, the connection is lost.
        """
        self.taken += 1
        port = None if left is None else self._tcp.get(left.local)
        if left is None or sock is None or port is None or not self._has_room_for(left.flow):
            self._lose(sock, Ending.NOT_TAKEN)
            return
        flow = left.flow
        within = VOUCHED_WITHIN if flow is not None else max(0.0, left.within - age)
        try:
            connection = port.take(sock, within, left.rest, left.unsent, now)
        except OSError:
            self._lose(sock, Ending.LEFT)
            return
        if connection is not None and flow is not None:
            host, number = connection.address[:2]
            key = FlowKey(Transport.TCP, Endpoint(host, number), left.local)
            self._go_on(key, flow, now - flow.silence - age, now)

    def _lose(self, sock: socket.socket | None, why: Ending) -> None:
        self._lost[why] += 1
        if sock is not None:
            sock.close()

    def _has_room_for(self, flow: LeftFlow | None) -> bool:
        if flow is None:
            return True
        slot = flow.label >> 8
        return slot < len(self._slots.generations) and slot not in self._taken_labels

    def _go_on(self, key: FlowKey, flow: LeftFlow, seen: Instant, now: Instant) -> None:
        slot = flow.label >> 8
        self._taken_labels[slot] = flow.label
        self._slots.generations[slot] = flow.label & 0xFF
        self._slots.used[0] = max(self._slots.used[0], slot + 1)
        way = flow.route, flow.link
        if way not in self.inherited:  # there are few
            self.inherited += (way,)
        self.install(InstallFlow(key, flow.label, flow.route, flow.link), now)
        self._by_label[flow.label].seen = seen

    def _take_out(self, flow: Flow) -> None:
        super()._take_out(flow)
        self._ended_flows.append((flow.port.local, flow.place))

    def _hang_up(self, now: Instant) -> None:
        """Close the connections of flows that have ended, unless others have taken their place."""
        for local, place in self._ended_flows:
            if place not in self._port_of[local].flows:
                self._tcp[local].hang_up(place, now)
        self._ended_flows.clear()

    def _client_left(self, local: Endpoint, address: SockAddress) -> None:
        flow = self._port_of[local].flows.get(address)
        if flow is not None:
            self._take_out(flow)


def _left(flow: Flow | None, now: Instant) -> LeftFlow | None:
    if flow is None:
        return None
    return LeftFlow(flow.label, flow.route, flow.link, now - flow.seen)
