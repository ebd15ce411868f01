"""Signaling is told of every transceiver that has sessions, and which of them take more."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.cordon import Cordon
from appliance.supervisor.core.interface import Cordons
from appliance.supervisor.core.placement import entries, have_room
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.routes import RouteTable
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.worker import Worker
from config.ids import ClusterId, Endpoint, Epoch, Role, Route, TransceiverId, WorkerName
from config.model import Config

ROUTE = Route(ClusterId(0), TransceiverId(0), Epoch(7))
RELAY = WorkerName("relay-0")
OPEN = Cordon(Cordons())


def transceiver() -> Worker:
    worker = Worker(WorkerSpec(WorkerName("transceiver-0"), Role.TRANSCEIVER, 0), Config())
    worker.begin_process(7, ROUTE)
    worker.life.spawn(1.0)
    worker.rpc, worker.sessions = "ipc:///x", 3
    return worker


def known() -> RouteTable:
    routes = RouteTable()
    routes.replace({ROUTE: Endpoint("127.0.0.1", 1)})
    routes.acknowledge(RELAY, 1)
    routes.confirm([RELAY])
    return routes


def test_one_that_is_ready_and_known_takes_sessions() -> None:
    worker = transceiver()
    assert entries([worker], known(), OPEN, open_to_new=True, most=9) == ()
    worker.life.ready(2.0)
    (entry,) = entries([worker], known(), OPEN, open_to_new=True, most=9)
    assert (entry.accepting, entry.sessions, entry.max_sessions) == (True, 3, 9)


def test_otherwise_it_keeps_those_that_it_has() -> None:
    worker = transceiver()
    worker.life.ready(2.0)
    (drained,) = entries([worker], known(), OPEN, open_to_new=False, most=9)
    (unknown,) = entries([worker], RouteTable(), OPEN, open_to_new=True, most=9)
    worker.life.drain(3.0, until=None)
    (draining,) = entries([worker], known(), OPEN, open_to_new=True, most=9)
    assert [e.accepting for e in (drained, unknown, draining)] == [False] * 3


def test_relays_whose_flow_tables_are_full_get_no_clients() -> None:
    one, other = (
        Worker(WorkerSpec(WorkerName(f"relay-{n}"), Role.RELAY, n), Config()) for n in (0, 1)
    )
    assert have_room([one, other], most=640)
    assert not have_room([], most=640)
    one.sessions = other.sessions = 630
    assert not have_room([one, other], most=640)
    other.sessions = 629
    assert have_room([one, other], most=640)


@pytest.mark.parametrize(
    "cordons", [Cordons(host=True), Cordons(workers=(WorkerName("transceiver-0"),))]
)
def test_one_that_is_cordoned_takes_none(cordons: Cordons) -> None:
    worker = transceiver()
    worker.life.ready(2.0)
    (entry,) = entries([worker], known(), Cordon(cordons), open_to_new=True, most=9)
    assert not entry.accepting


@pytest.mark.parametrize("field", ["joining", "leaving"])
def test_one_that_joins_or_leaves_takes_none(field: str) -> None:
    worker = transceiver()
    worker.life.ready(2.0)
    worker.joining = field == "joining"
    worker.retire_by = Goal.DRAIN if field == "leaving" else Goal.RUN
    (entry,) = entries([worker], known(), OPEN, open_to_new=True, most=9)
    assert not entry.accepting
