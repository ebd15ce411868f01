"""Survivors of a dead supervisor: who becomes a worker of the new one, and when."""

from __future__ import annotations

from typing import TypeVar

import pytest

from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    Adopted,
    DrainRequested,
    Exited,
    Finished,
    Invite,
    Kill,
    ProcessId,
    Received,
    Reject,
    Send,
    Settled,
    Spawn,
    StartRequested,
    StopRequested,
    SurvivorsFound,
    WorkerChanged,
)
from appliance.supervisor.core.lifecycle import HEARTBEAT_TIMEOUT, WorkerState
from config.ids import ClusterId, Endpoint, Epoch, Role, Route, TransceiverId, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Drain, Heartbeat, Hello, Ready, Stop, Welcome, WorkerPhase
from ipc.messages.routes import LiveRoute, Routes, RoutesApplied, Transceivers
from tests.support.supervision import FIRST, LINKS, Table

OLD = {
    WorkerName("relay-0"): 900,
    WorkerName("relay-1"): 901,
    WorkerName("transceiver-0"): 902,
    WorkerName("transceiver-1"): 903,
    WorkerName("signaling-0"): 904,
}
Kind = TypeVar("Kind")
_LINK = Endpoint("127.0.0.1", 41_000)


def role_of(name: str) -> Role:
    return next(role for role in Role if name.startswith(role.label))


class Survivors:
    """Workers of a dead supervisor, and the table of the new one."""

    def __init__(self, **more: int) -> None:
        self.table = Table()
        self.processes = {
            ProcessId(WorkerName(name.replace("_", "-")), generation): 10_000 + generation
            for name, generation in [*OLD.items(), *more.items()]
        }
        self.table.feed(SurvivorsFound({p.generation: pid for p, pid in self.processes.items()}))

    def of(self, name: str) -> ProcessId:
        return next(process for process in self.processes if process.name == name)

    def hello(self, process: ProcessId, version: int = 1) -> None:
        pid = self.processes[process]
        role = role_of(process.name)
        said = Hello(version, process.name, role, process.generation, pid, WorkerPhase.READY)
        self.table.feed(Received(process, pid, said))

    def claim(
        self,
        process: ProcessId,
        *,
        ready: bool = True,
        misfit: str = "",
        phase: WorkerPhase = WorkerPhase.READY,
        config: Config | None = None,
    ) -> None:
        role, index = role_of(process.name), int(process.name.rpartition("-")[2])
        route = Route(ClusterId(0), TransceiverId(index), Epoch(process.generation))
        self.table.roles[process] = role
        self.table.pids[process] = self.processes[process]
        self.table.current[process.name] = process
        self.table.feed(
            Adopted(
                process,
                self.processes[process],
                role,
                index,
                phase,
                Config() if config is None else config,
                route if role is Role.TRANSCEIVER else None,
                Ready(_LINK, f"ipc:///x/{process.name}") if ready else None,
                misfit,
            )
        )

    def claim_all(self, *but: str) -> None:
        for process in self.processes:
            if process.name not in but:
                self.hello(process)
                self.claim(process)

    def settled(self) -> set[str]:
        (settled,) = made(self.table, Settled)
        return {process.name for process in settled.adopted}

    def start(self) -> None:
        self.table.feed(StartRequested(LINKS[:2]))


def made(table: Table, kind: type[Kind]) -> list[Kind]:
    return [output for output in table.outputs if isinstance(output, kind)]


def sent(table: Table, name: str) -> list[object]:
    return [o.message for o in table.outputs if isinstance(o, Send) and o.process.name == name]


def test_who_lives_is_asked_and_nothing_happens_before_all_have_answered() -> None:
    old = Survivors()
    first, *rest = old.processes
    old.hello(first)
    assert made(old.table, Invite) == [Invite(first, old.processes[first])]
    old.claim(first)
    old.hello(first)  # it waits, and says so again
    for process in rest[:-1]:
        old.hello(process)
        old.claim(process)
    assert {type(o) for o in old.table.outputs} == {Invite}
    assert len(made(old.table, Invite)) == len(rest)
    old.hello(rest[-1])
    old.claim(rest[-1])
    assert old.settled() == set(OLD)


def test_a_claim_of_another_process_than_the_one_on_the_roster_is_none() -> None:
    old = Survivors()
    old.claim_all("relay-0")
    relay = old.of("relay-0")
    old.processes[relay] += 1
    old.claim(relay)
    assert made(old.table, Settled) == []
    old.processes[relay] -= 1
    old.claim(relay)
    assert old.settled() == set(OLD)


def test_adopted_workers_serve_on_and_hear_the_whole_truth_at_once() -> None:
    old = Survivors()
    old.claim_all()
    old.table.outputs.clear()
    old.start()
    table = old.table
    assert not [o for o in table.outputs if isinstance(o, Spawn)]
    routes = {
        Route(ClusterId(0), TransceiverId(index), Epoch(OLD[WorkerName(f"transceiver-{index}")]))
        for index in (0, 1)
    }
    for relay in ("relay-0", "relay-1"):
        welcome, told = sent(table, relay)
        assert isinstance(welcome, Welcome)
        assert isinstance(told, Routes)
        assert set(told.routes) == {LiveRoute(route, _LINK) for route in routes}
    assert sent(table, "signaling-0") == []
    for relay in ("relay-0", "relay-1"):
        table.say(relay, RoutesApplied(1))
    old.hello(old.of("signaling-0"))
    _, truth = sent(table, "signaling-0")
    assert isinstance(truth, Transceivers)
    assert [entry.accepting for entry in truth.entries] == [True, True]
    assert table.core.state is ApplianceState.READY
    assert {w.state for w in table.core.workers(table.now)} == {"ready"}


def test_who_is_missing_is_started_and_who_has_not_said_ready_may_yet() -> None:
    old = Survivors()
    relay = old.of("relay-1")
    old.table.feed(Exited(relay, None))
    transceiver = old.of("transceiver-1")
    for process in old.processes:
        if process != relay:
            old.hello(process)
            old.claim(process, ready=process != transceiver)
    assert old.settled() == set(OLD) - {"relay-1"}
    old.start()
    (spawn,) = made(old.table, Spawn)
    assert spawn.spec.name == "relay-1"
    assert old.table.core.state.value == "degraded"  # it is no start that can fail
    old.table.say("transceiver-1", Ready(_LINK, "ipc:///x"))
    old.table.ready("relay-1")
    old.table.apply_routes()
    assert old.table.core.state.value == "ready"


def test_numbers_go_on_after_the_highest_of_theirs() -> None:
    old = Survivors(relay_9=FIRST + 500)
    old.table.feed(Exited(old.of("relay-9"), None))
    old.table.feed(Exited(old.of("relay-0"), None))
    old.claim_all("relay-0", "relay-9")
    old.start()
    (spawn,) = made(old.table, Spawn)
    assert spawn.process.generation == FIRST + 501


def test_who_says_nothing_is_killed_in_the_end() -> None:
    old = Survivors()
    old.claim_all("transceiver-0")
    assert not made(old.table, Settled)
    old.table.sleep(HEARTBEAT_TIMEOUT)
    (kill,) = made(old.table, Kill)
    assert kill.process == ProcessId(WorkerName("?"), OLD[WorkerName("transceiver-0")])
    assert old.settled() == set(OLD) - {"transceiver-0"}


@pytest.mark.parametrize("claims", [True, False])
def test_of_no_use_or_of_another_version_is_rejected(claims: bool) -> None:
    old = Survivors()
    old.claim_all("transceiver-0")
    process = old.of("transceiver-0")
    if claims:
        old.hello(process)
        old.claim(process, misfit="has other keys")
    else:
        old.hello(process, version=99)
    (reject,) = made(old.table, Reject)
    assert reject.process == process
    assert reject.why in ("has other keys", "speaks version 99, the supervisor 1")
    assert old.settled() == set(OLD) - {"transceiver-0"}


def test_an_impostor_is_rejected_and_a_claim_that_nobody_waits_for_is_nothing() -> None:
    old = Survivors()
    process = old.of("relay-0")
    said = Hello(1, process.name, Role.RELAY, process.generation, 666)
    old.table.feed(Received(process, 666, said))
    (reject,) = made(old.table, Reject)
    assert reject.pid == 666
    old.table.feed(Adopted(process, 666, Role.RELAY, 0, WorkerPhase.READY, None))
    old.claim_all()
    assert old.settled() == set(OLD)


def test_of_two_with_one_name_the_younger_has_it() -> None:
    younger = ProcessId(WorkerName("relay-0"), 950)
    old = Survivors(relay_0=950)
    assert younger in old.processes
    old.claim_all()
    (reject,) = made(old.table, Reject)
    assert reject.process == ProcessId(WorkerName("relay-0"), OLD[WorkerName("relay-0")])
    (settled,) = made(old.table, Settled)
    assert younger in settled.adopted
    assert reject.process not in settled.adopted


def test_a_relay_that_was_leaving_goes_on_doing_so() -> None:
    old = Survivors(relay_2=950)
    old.claim_all()
    assert "relay-2" in old.settled()
    old.table.feed(StartRequested(LINKS[:3]))
    assert any(isinstance(message, Drain) for message in sent(old.table, "relay-2"))
    old.table.feed(Exited(old.of("relay-2"), None))
    assert all(w.name != "relay-2" for w in old.table.core.workers(old.table.now))


def test_who_was_leaving_beside_its_successor_goes_on_doing_so() -> None:
    old = Survivors(transceiver_2=950)
    leaving = old.of("transceiver-0")
    for process in old.processes:
        old.hello(process)
        phase = WorkerPhase.DRAINING if process == leaving else WorkerPhase.READY
        old.claim(process, phase=phase)
    old.settled()
    old.start()
    table = old.table
    states = {worker.name: worker.state for worker in table.core.workers(table.now)}
    assert states.pop("transceiver-0") == "draining"
    assert set(states) == set(OLD) - {"transceiver-0"} | {"transceiver-2"}
    assert any(isinstance(message, Drain) for message in sent(table, "transceiver-0"))
    assert not made(table, Spawn)
    table.feed(Exited(leaving, None))
    assert not made(table, Spawn)
    assert all(worker.name != leaving.name for worker in table.core.workers(table.now))


def test_successors_that_were_still_to_join_leave() -> None:
    old = Survivors(transceiver_2=950, transceiver_3=951, signaling_1=952)
    old.claim_all()
    old.start()
    drained = {
        output.process.name for output in made(old.table, Send) if isinstance(output.message, Drain)
    }
    assert drained == {"transceiver-2", "transceiver-3", "signaling-1"}


def test_a_missing_one_beside_one_that_leaves_gets_another_name() -> None:
    old = Survivors()
    leaving = old.of("transceiver-0")
    old.table.feed(Exited(old.of("transceiver-1"), None))
    for process in old.processes:
        if process.name != "transceiver-1":
            old.hello(process)
            phase = WorkerPhase.DRAINING if process == leaving else WorkerPhase.READY
            old.claim(process, phase=phase)
    old.start()
    assert [s.spec.name for s in made(old.table, Spawn)] == ["transceiver-1", "transceiver-2"]


def test_a_successor_gets_what_its_predecessor_was_born_with() -> None:
    old = Survivors()
    mine = Config.model_validate({"relay": {"flow_idle": 77.0}})
    relay = old.of("relay-0")
    for process in old.processes:
        old.hello(process)
        old.claim(process, config=mine if process == relay else None)
    old.start()
    old.table.feed(Exited(relay, None))
    (spawn,) = made(old.table, Spawn)
    assert spawn.config == mine


def test_who_ends_after_its_claim_is_started_again() -> None:
    old = Survivors()
    old.claim_all("signaling-0")
    old.table.feed(Exited(old.of("relay-0"), None))
    old.hello(old.of("signaling-0"))
    old.claim(old.of("signaling-0"))
    assert old.settled() == set(OLD) - {"relay-0"}


def test_an_exit_that_nobody_can_explain_is_a_crash_and_in_a_drain_it_is_not() -> None:
    old = Survivors()
    old.claim_all()
    old.start()
    table = old.table
    table.feed(Exited(old.of("relay-0"), None))
    (spawn,) = made(table, Spawn)
    assert spawn.spec.name == "relay-0"
    whys = [o.why for o in made(table, WorkerChanged) if o.state is WorkerState.BACKOFF]
    assert whys == ["ended, and its exit code is unknown"]
    table.feed(StopRequested())
    table.feed(Exited(old.of("relay-1"), None))
    stopped = [o for o in made(table, WorkerChanged) if o.state is WorkerState.STOPPED]
    assert [(o.process.name, o.why) for o in stopped] == [("relay-1", "")]


@pytest.mark.parametrize("event", [DrainRequested(), StopRequested()])
def test_an_end_that_comes_early_waits_for_the_survivors(
    event: DrainRequested | StopRequested,
) -> None:
    old = Survivors()
    old.table.feed(event)
    assert not made(old.table, Finished)
    old.claim_all()
    assert old.settled() == set(OLD)
    old.start()
    table = old.table
    assert table.core.state is ApplianceState.DRAINING
    told = {o.process.name for o in made(table, Send) if isinstance(o.message, Drain | Stop)}
    assert {"transceiver-0", "transceiver-1"} <= told
    table.feed(StopRequested())
    for process in list(old.processes):
        table.feed(Exited(process, None))
    (finished,) = made(table, Finished)
    assert finished.code == 0


def test_a_heartbeat_before_hello_is_answered_with_a_rejection_like_anybodys() -> None:
    old = Survivors()
    process = old.of("relay-0")
    pid = old.processes[process]
    old.table.feed(Received(process, pid, Heartbeat(WorkerPhase.READY)))
    assert made(old.table, Reject)
