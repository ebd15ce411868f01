"""What is remembered of a process, and forgotten with it."""

from __future__ import annotations

from appliance.supervisor.core.interface import ProcessId, Send, WorkerChanged
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.worker import Place, Worker
from config.ids import ClusterId, Endpoint, Epoch, Role, Route, TransceiverId, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Stop

NAME = WorkerName("transceiver-0")
ROUTE = Route(ClusterId(0), TransceiverId(0), Epoch(7))


def running() -> Worker:
    worker = Worker(WorkerSpec(NAME, Role.TRANSCEIVER, 0), Config())
    worker.begin_process(7, ROUTE)
    worker.life.spawn(1.0)
    worker.pid, worker.sessions, worker.welcomed = 99, 3, True
    worker.link, worker.rpc, worker.note = Endpoint("127.0.0.1", 1), "ipc:///x", "fine"
    worker.farewell = "out of memory"
    worker.asked = Goal.DRAIN
    return worker


def test_nothing_of_a_process_outlives_it() -> None:
    worker = running()
    assert worker.end_process() == "out of memory"
    assert (worker.pid, worker.sessions, worker.welcomed) == (0, 0, False)
    assert (worker.link, worker.rpc, worker.note, worker.route) == (None, "", "", None)
    worker.begin_process(8, ROUTE)
    assert worker.asked is Goal.RUN
    assert worker.process == ProcessId(NAME, 8)
    assert worker.route == ROUTE


def test_a_state_is_told_once() -> None:
    worker = running()
    assert worker.change() == WorkerChanged(ProcessId(NAME, 7), 99, WorkerState.STARTING, "")
    assert worker.change() is None


def test_messages_go_to_the_process_that_has_the_name_now() -> None:
    assert running().send(Stop()) == Send(ProcessId(NAME, 7), 99, Stop())


def test_its_row() -> None:
    worker = running()
    worker.life.ready(2.0)
    row = worker.status(12.0)
    assert (row.name, row.state, row.pid, row.sessions) == (NAME, "ready", 99, 3)
    assert (row.uptime, row.restarts, row.note) == (10.0, 0, "fine")
    worker.life.exited("exit code 70", 70, 13.0, wanted=True)
    row = worker.status(14.0)
    assert (row.state, row.uptime, row.note) == ("back-off", 0.0, "exit code 70")


def test_its_place_is_told_while_it_serves() -> None:
    worker = running()
    assert worker.place() == Place(NAME, Role.TRANSCEIVER, WorkerState.STARTING, ROUTE)
    worker.life.ready(2.0)
    where = Endpoint("127.0.0.1", 1)
    expected = Place(NAME, Role.TRANSCEIVER, WorkerState.READY, ROUTE, where, "ipc:///x")
    assert worker.place() == expected
