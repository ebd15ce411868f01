"""A relay counts as known when every transceiver has said so."""

from __future__ import annotations

from appliance.supervisor.core.links import RelayLinks
from config.ids import Endpoint, WorkerName
from ipc.messages.routes import Relays

ONE, TWO = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)
A, B = WorkerName("transceiver-0"), WorkerName("transceiver-1")


def test_every_change_has_a_serial_and_needs_everybodys_word() -> None:
    links = RelayLinks()
    assert links.known_to([A, B])
    assert links.replace(((ONE,),))
    assert not links.replace(((ONE,),))
    assert links.message() == Relays(1, (ONE,))
    assert not links.known_to([A])
    links.acknowledge(A, 1)
    assert links.known_to([A])
    assert not links.known_to([A, B])
    links.acknowledge(B, 1)
    assert links.replace(((ONE, TWO),))
    assert links.message() == Relays(2, (ONE, TWO))
    assert not links.known_to([A, B])
    links.acknowledge(A, 2)
    links.acknowledge(A, 1)  # late
    links.acknowledge(B, 2)
    assert links.known_to([A, B])


def test_neither_a_dead_process_nor_an_invented_serial_counts() -> None:
    links = RelayLinks()
    links.replace(((ONE,),))
    links.acknowledge(A, 7)
    assert not links.known_to([A])
    links.acknowledge(A, 1)
    links.forget_transceiver(A)
    assert not links.known_to([A])
    assert links.known_to([])
