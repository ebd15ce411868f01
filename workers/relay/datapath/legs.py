"""The legs on which records leave the datapath in Python: to transceivers, and back to Global Relays."""

from __future__ import annotations

import socket
from collections.abc import Callable

from config.ids import Endpoint
from workers.relay.datapath.base import DatapathCounters
from workers.relay.datapath.parts import Flow, Leg
from workers.relay.datapath.sockets import SockAddress, sock_address
from workers.wire.link import HEADER, HEADER_LENGTH, RecordType
from workers.wire.sending import send_failure
from workers.wire.types import DropReason


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
        self._load(flow.leg, 0, flow.label, payload, self.loaded, self.send)

    def load_back(self, flow: Flow, leg: Leg, flags: int, payload: bytes) -> None:
        """One more record for the Global Relay that has the client."""
        assert flow.key.label is not None
        self._load(leg, flags, flow.key.label, payload, self._loaded_back, self._send_back)

    def _load(
        self,
        leg: Leg,
        flags: int,
        label: int,
        payload: bytes,
        loaded: list[Leg],
        send: Callable[[Leg], None],
    ) -> None:
        size = HEADER_LENGTH + len(payload)
        if leg.parts and leg.size + size > self._mtu:
            send(leg)
        if not leg.parts:
            loaded.append(leg)
        leg.size += size
        leg.parts += (HEADER.pack(RecordType.DATA, flags, len(payload), label), payload)

    def flush(self) -> None:
        """Send what is loaded."""
        _flush(self.loaded, self.send)

    def flush_back(self) -> None:
        """The same, to Global Relays."""
        _flush(self._loaded_back, self._send_back)

    def send(self, leg: Leg) -> None:
        """What a leg has, as one datagram."""
        records, failure = _send(leg)
        if failure is None:
            self._counters.forwarded += records
        else:
            self._counters.dropped[failure] += records

    def _send_back(self, leg: Leg) -> None:
        records, failure = _send(leg)
        if failure is None:
            self._counters.returned += records
        else:
            self._counters.records_dropped[failure] += records


def _flush(loaded: list[Leg], send: Callable[[Leg], None]) -> None:
    for leg in loaded:
        if leg.parts:  # it is there twice if it was full once
            send(leg)
    loaded.clear()


def _send(leg: Leg) -> tuple[int, DropReason | None]:
    """How many records that was, and why they are lost if they are."""
    records, failure = len(leg.parts) >> 1, None
    try:
        leg.socket.sendto(b"".join(leg.parts), leg.address)
    except OSError as error:
        failure = send_failure(error)
    leg.parts.clear()
    leg.size = 0
    return records, failure
