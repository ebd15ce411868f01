"""The legs on which records leave the datapath in Python: to transceivers, and back to Global Relays."""

from __future__ import annotations

import socket

from config.ids import Endpoint
from workers.relay.datapath.base import DatapathCounters
from workers.relay.datapath.parts import Flow, Leg
from workers.relay.datapath.sockets import SockAddress, sock_address
from workers.wire.link import HEADER, HEADER_LENGTH, RecordType
from workers.wire.sending import send_failure


class Legs:
    """All of them, and which have something to send."""

    def __init__(self, link: socket.socket, mtu: int, counters: DatapathCounters) -> None:
        self._link = link
        self._mtu = mtu
        self._counters = counters
        self._legs: dict[SockAddress, Leg] = {}
        self.get = self._legs.get
        """The leg to that address, if a flow leaves on it."""
        self.loaded: list[Leg] = []
        """Legs that have something to send."""
        self._loaded_back: list[Leg] = []

    def join(self, endpoint: Endpoint) -> Leg:
        """The leg to that link address, with one more flow on it."""
        address = sock_address(endpoint)
        leg = self._legs.get(address)
        if leg is None:
            leg = self._legs[address] = Leg(address, self._link)
        leg.flows += 1
        return leg

    def leave(self, leg: Leg) -> None:
        """One flow less."""
        leg.flows -= 1
        if not leg.flows:
            del self._legs[leg.address]

    def load(self, flow: Flow, payload: bytes) -> None:
        """One more record of a flow."""
        leg = flow.leg
        size = HEADER_LENGTH + len(payload)
        if leg.parts and leg.size + size > self._mtu:
            self.send(leg)
        if not leg.parts:
            self.loaded.append(leg)
        leg.size += size
        leg.parts += (HEADER.pack(RecordType.DATA, 0, len(payload), flow.label), payload)

    def load_back(self, flow: Flow, leg: Leg, flags: int, payload: bytes) -> None:
        """One more record for the Global Relay that has the client."""
        assert flow.key.label is not None
        size = HEADER_LENGTH + len(payload)
        if leg.parts and leg.size + size > self._mtu:
            self._send_back(leg)
        if not leg.parts:
            self._loaded_back.append(leg)
        leg.size += size
        leg.parts += (HEADER.pack(RecordType.DATA, flags, len(payload), flow.key.label), payload)

    def flush(self) -> None:
        """Send what is loaded."""
        for leg in self.loaded:
            if leg.parts:  # it is there twice if it was full once
                self.send(leg)
        self.loaded.clear()

    def flush_back(self) -> None:
        """The same, to Global Relays."""
        for leg in self._loaded_back:
            if leg.parts:
                self._send_back(leg)
        self._loaded_back.clear()

    def send(self, leg: Leg) -> None:
        """What a leg has, as one datagram."""
        forwarded = len(leg.parts) >> 1
        try:
            leg.socket.sendto(b"".join(leg.parts), leg.address)
            self._counters.forwarded += forwarded
        except OSError as error:
            self._counters.dropped[send_failure(error)] += forwarded
        leg.parts.clear()
        leg.size = 0

    def _send_back(self, leg: Leg) -> None:
        returned = len(leg.parts) >> 1
        try:
            leg.socket.sendto(b"".join(leg.parts), leg.address)
            self._counters.returned += returned
        except OSError as error:
            self._counters.records_dropped[send_failure(error)] += returned
        leg.parts.clear()
        leg.size = 0
