"""The datapath of ICE-TCP: the one in Python, whose public sockets hold connections.

What is different is that a client can leave, and can be sent away. A flow ends with its connection, and a
connection with its flow; and a connection that no transceiver vouches for ends soon (`core/connections`).
It shares nothing with the datapath of UDP, which goes on in its own thread whatever happens here.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial

from config.ids import Endpoint, Instant, Transport
from workers.relay.core.connections import Connections, Ending
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
        """Of them, those that have ended. Law: `accepted == connections + sum(ended)`."""
        return sum((port.ended for port in self._turns), Counter[Ending]())

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
