"""Serial, confirmation, and what a replaced relay changes: nothing."""

from __future__ import annotations

from appliance.supervisor.core.routes import RouteTable
from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId, WorkerName

A = Route(ClusterId(0), TransceiverId(0), Epoch(1))
B = Route(ClusterId(0), TransceiverId(1), Epoch(2))
LINK = Endpoint("127.0.0.1", 5000)
R0, R1 = WorkerName("relay-0"), WorkerName("relay-1")


def test_the_serial_changes_only_with_the_routes() -> None:
    table = RouteTable()
    assert table.message().serial == 0
    assert table.replace({A: LINK})
    assert not table.replace({A: LINK})
    assert table.message().serial == 1
    assert table.replace({})
    assert table.message().serial == 2
    assert table.message().routes == ()


def test_a_route_is_confirmed_by_all_relays_with_its_serial_or_a_later_one() -> None:
    table = RouteTable()
    table.replace({A: LINK})
    table.replace({A: LINK, B: LINK})
    table.acknowledge(R0, 2)
    assert not table.confirm([R0, R1])
    table.acknowledge(R1, 1)
    assert table.confirm([R0, R1])
    assert table.is_confirmed(A)
    assert not table.is_confirmed(B)


def test_without_relays_nothing_is_confirmed() -> None:
    table = RouteTable()
    table.replace({A: LINK})
    assert not table.confirm([])


def test_confirmation_survives_the_relay_but_not_the_route() -> None:
    table = RouteTable()
    table.replace({A: LINK})
    table.acknowledge(R0, 1)
    table.confirm([R0])
    table.forget_relay(R0)
    assert not table.confirm([R0])
    assert table.is_confirmed(A)
    table.replace({})
    table.replace({A: LINK})
    assert not table.is_confirmed(A)


def test_a_serial_that_was_never_sent_confirms_nothing() -> None:
    table = RouteTable()
    table.acknowledge(R0, 99)
    table.replace({A: LINK})
    assert not table.confirm([R0])
