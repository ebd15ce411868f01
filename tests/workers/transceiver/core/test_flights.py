"""Flights go out as far as their path permits."""

from __future__ import annotations

from config.ids import Endpoint, Transport
from workers.transceiver.core.flights import Flights
from workers.transceiver.core.interface import Path, SendDatagram
from workers.transceiver.core.paths import AMPLIFICATION, PathState

WAY = Path(Transport.UDP, Endpoint("192.0.2.1", 5), Endpoint("198.51.100.1", 3478))
FLIGHT = (bytes(600), bytes(600))


def test_a_proven_path_carries_all() -> None:
    flights, path = Flights(), PathState(WAY, proven=True)
    assert flights.send(FLIGHT, path) == [SendDatagram(WAY, datagram) for datagram in FLIGHT]
    assert (flights.path, flights.held) == (path, False)
    assert path.bytes_sent == 1200


def test_another_one_carries_as_much_as_it_permits_and_the_rest_is_held() -> None:
    flights, path = Flights(), PathState(WAY, bytes_received=600 // AMPLIFICATION)
    assert len(flights.send(FLIGHT, path)) == 1
    assert flights.held
    path.proven = True
    assert len(flights.send(FLIGHT, path)) == 2
    assert not flights.held


def test_nothing_goes_nowhere() -> None:
    flights, path = Flights(), PathState(WAY, proven=True)
    flights.send(FLIGHT, path)
    assert flights.send(FLIGHT, None) == flights.send((), PathState(WAY)) == []
    assert flights.path is path
