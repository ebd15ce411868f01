"""What the datapath in Python is made of: ports with flows on them, and legs that flows leave on."""

from __future__ import annotations

from config.ids import Endpoint, FlowKey, Instant, Transport
from workers.relay.core.interface import InstallFlow
from workers.relay.datapath.base import FLOW_MOST, FlowSeen
from workers.relay.datapath.sockets import DatagramSocket, SockAddress, sock_address

Place = SockAddress
"""Whose a datagram is, on its port: an address, on the port for Global Relays an address and a label."""


class Leg:
    """The way to one transceiver or relay and the records that will leave on it with the next flush."""

    __slots__ = ("address", "flows", "parts", "size", "socket")

    def __init__(self, address: SockAddress, sock: DatagramSocket) -> None:
        self.address = address
        self.socket = sock
        self.flows = 0
        """Installed flows that leave on it."""
        self.parts: list[bytes] = []
        """Header, payload, header, payload, ..."""
        self.size = 0


class Flow:
    """An installed flow."""

    __slots__ = (
        "back",
        "key",
        "label",
        "leg",
        "link",
        "passed",
        "place",
        "port",
        "raised",
        "route",
        "route_mates",
        "seen",
        "sendto",
        "tick",
        "upcalls",
    )

    def __init__(
        self, install: InstallFlow, port: Port, leg: Leg, mates: dict[int, Flow], now: Instant
    ) -> None:
        self.key = install.key
        self.label = install.label
        self.route = install.route
        self.route_mates = mates
        """All flows of its route, by label, itself among them."""
        self.place = port.place_of(install.key)
        self.port = port
        self.link = install.link
        self.leg = leg
        self.back = port.back(install.key)
        """The way to the Global Relay that has its client; None: the client is at `place`."""
        self.sendto = port.socket.sendto
        self.seen = now
        self.upcalls = 0
        """Its datagrams in the ring."""
        self.raised = False
        """What comes from its client goes up."""
        self.tick = self.passed = 0
        """When one of its datagrams was last forwarded, and how many were in that tick."""

    def admit(self, tick: int) -> bool:
        """One more datagram of its client; False if that is more than its share of this tick."""
        if self.tick != tick:
            self.tick, self.passed = tick, 0
        self.passed += 1
        return self.passed <= FLOW_MOST

    def seen_at(self, now: Instant) -> FlowSeen:
        """What who looks at the table sees of it."""
        return FlowSeen(self.key, self.label, self.route, self.link, now - self.seen)


class Port:
    """A public socket, the flows on it, and the tombstones, least recently hit first."""

    __slots__ = ("flows", "is_ingress", "legs", "local", "socket", "tombstones", "transport")

    def __init__(
        self,
        local: Endpoint,
        sock: DatagramSocket,
        *,
        transport: Transport = Transport.UDP,
        is_ingress: bool = False,
    ) -> None:
        self.local = local
        self.socket = sock
        self.transport = transport
        self.is_ingress = is_ingress
        """Not clients send to it, but Global Relays."""
        self.flows: dict[Place, Flow] = {}
        self.tombstones: dict[Place, Instant] = {}
        self.legs: dict[SockAddress, Leg] = {}
        """Back to Global Relays; there are few."""

    def place_of(self, key: FlowKey) -> Place:
        """Where a flow of that key is found."""
        address = sock_address(key.client)
        return address if key.label is None else (address, key.label)

    def key_at(self, place: Place) -> FlowKey:
        """The key of a flow there."""
        if not self.is_ingress:
            return FlowKey(self.transport, Endpoint(place[0], place[1]), self.local)
        address, label = place
        return FlowKey(Transport.UDP, Endpoint(address[0], address[1]), self.local, label)

    def back(self, key: FlowKey) -> Leg | None:
        """The leg to the Global Relay of a key that has one."""
        if key.label is None:
            return None
        address = sock_address(key.client)
        leg = self.legs.get(address)
        if leg is None:
            leg = self.legs[address] = Leg(address, self.socket)
        return leg
