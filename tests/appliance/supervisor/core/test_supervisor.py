"""The supervisor's core by play: a crash, a bad boot, a silent worker, a drain, an impostor."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.distribution import REPEAT_EVERY
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    ApplianceChanged,
    DrainRequested,
    Finished,
    Kill,
    ProcessId,
    Received,
    Reject,
    Send,
    Spawn,
    SpawnFailed,
    StartRequested,
    StopRequested,
    WorkerChanged,
)
from appliance.supervisor.core.lifecycle import (
    FAILED_RETRY,
    FREE_CRASHES,
    HEARTBEAT_TIMEOUT,
    MAX_BOOT_FAILURES,
    START_TIMEOUT,
    WorkerState,
)
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import (
    Drain,
    Farewell,
    Heartbeat,
    Hello,
    Ready,
    Stop,
    Welcome,
    WorkerPhase,
)
from ipc.messages.routes import Routes, RoutesApplied, Transceivers
from tests.support.supervision import FIRST, SUPERVISOR_PID, Table

NAMES = ["relay-0", "relay-1", "transceiver-0", "transceiver-1", "signaling-0"]


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def up(table: Table) -> Table:
    table.start()
    table.outputs.clear()
    return table


def test_starts_every_worker_once_and_is_ready_when_all_are(table: Table) -> None:
    table.start()
    changes = [o.state for o in table.outputs if isinstance(o, ApplianceChanged)]
    assert changes == [ApplianceState.READY]
    assert [s.spec.name for s in table.take(Spawn)] == NAMES
    assert table.core.state is ApplianceState.READY


def test_generations_are_never_given_twice_and_name_the_epoch(up: Table) -> None:
    generations = [process.generation for process in up.current.values()]
    assert generations == list(range(FIRST, FIRST + 5))
    up.die("transceiver-0")
    up.sleep(1)
    (spawn,) = up.take(Spawn)
    assert spawn.process.generation == FIRST + 5
    assert spawn.route is not None
    assert (spawn.route.transceiver, spawn.route.epoch) == (0, FIRST + 5)


def test_epochs_wrap_at_16_bits() -> None:
    table = Table()
    table.core._next_generation = 0x1_0000 + 7
    table.feed(StartRequested())
    routes = [spawn.route for spawn in table.take(Spawn) if spawn.route]
    assert [route.epoch for route in routes] == [9, 10]


def test_a_worker_is_welcomed_and_told_the_truth(table: Table) -> None:
    table.feed(StartRequested())
    table.hello("relay-0")
    assert table.sent("relay-0") == [Welcome(SUPERVISOR_PID), Routes(0, ())]
    table.hello("signaling-0")
    assert table.sent("signaling-0") == [Welcome(SUPERVISOR_PID), Transceivers(())]


def test_a_transceiver_takes_sessions_only_when_every_relay_knows_its_route(table: Table) -> None:
    table.feed(StartRequested())
    for name in NAMES:
        table.ready(name)
    assert table.accepting() == [False, False]
    assert table.core.state is ApplianceState.STARTING
    serial = max(
        o.message.serial
        for o in table.outputs
        if isinstance(o, Send) and isinstance(o.message, Routes)
    )
    table.say("relay-0", RoutesApplied(serial))
    assert table.accepting() == [False, False]
    table.say("relay-1", RoutesApplied(serial - 1))
    assert table.accepting() == [True, False]
    table.say("relay-1", RoutesApplied(serial))
    assert table.accepting() == [True, True]
    told = table.sent("signaling-0")[-1]
    assert isinstance(told, Transceivers)
    assert [entry.accepting for entry in told.entries] == [True, True]


def test_a_replaced_relay_refuses_nobody(up: Table) -> None:
    up.die("relay-0")
    assert up.accepting() == [True, True]
    up.sleep(1)
    up.ready("relay-0")
    assert up.accepting() == [True, True]


def test_a_crash_after_service_is_told_and_restarted_at_once(up: Table) -> None:
    up.sleep(5)
    up.outputs.clear()
    up.die("transceiver-0")
    changes = [o for o in up.outputs if isinstance(o, WorkerChanged)]
    assert [(c.state, c.why) for c in changes] == [
        (WorkerState.BACKOFF, "killed by signal 9"),
        (WorkerState.STARTING, ""),
    ]
    assert up.core.state is ApplianceState.DEGRADED
    (spawn,) = up.take(Spawn)
    assert spawn.spec.name == "transceiver-0"
    up.ready("transceiver-0")
    up.apply_routes()
    assert up.core.state.value == "ready"


def test_the_route_of_a_dead_transceiver_is_withdrawn_at_once(up: Table) -> None:
    up.die("transceiver-0")
    (routes,) = [m for m in up.sent("relay-0") if isinstance(m, Routes)]
    assert [route.route.transceiver for route in routes.routes] == [1]
    told = up.sent("signaling-0")[-1]
    assert isinstance(told, Transceivers)
    assert [entry.route.transceiver for entry in told.entries] == [1]


def test_a_worker_that_served_long_is_restarted_at_once(up: Table) -> None:
    up.sleep(31)
    up.outputs.clear()
    up.die("relay-1")
    up.sleep(0.001)
    assert [s.spec.name for s in up.take(Spawn)] == ["relay-1"]


def test_waits_grow_while_a_worker_dies_young_and_stay_below_ten_seconds(up: Table) -> None:
    waits = []
    for _ in range(14):
        up.die("relay-0")
        died = up.now
        while up.current["relay-0"] not in up.pids:
            up.sleep(0.05)
        waits.append(up.now - died)
        up.ready("relay-0")
    assert waits[:FREE_CRASHES] == [0] * FREE_CRASHES
    assert waits[FREE_CRASHES:] == pytest.approx(
        [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10], abs=0.06
    )


def test_a_worker_that_never_becomes_ready_fails_with_the_reason(up: Table) -> None:
    up.die("transceiver-1")
    for _ in range(MAX_BOOT_FAILURES):
        while up.current["transceiver-1"] not in up.pids:
            up.sleep(0.1)
        up.hello("transceiver-1")
        up.feed(
            Received(
                up.current["transceiver-1"],
                up.pids[up.current["transceiver-1"]],
                Farewell("no libsrtp"),
            )
        )
        up.die("transceiver-1", 70)
    row = next(w for w in up.core.workers(up.now) if w.name == "transceiver-1")
    assert row.state == "failed"
    assert row.note == "never became ready in 3 starts, last: exit code 70: no libsrtp"
    assert up.core.state is ApplianceState.DEGRADED
    up.outputs.clear()
    waits = []
    for _ in range(6):
        failed = up.now
        while not up.take(Spawn):
            up.sleep(0.5)
        waits.append(up.now - failed)
        up.die("transceiver-1", 70)
    assert waits == pytest.approx([5, 10, 20, 40, FAILED_RETRY, FAILED_RETRY], abs=0.6)


def test_a_configuration_error_is_never_tried_again(up: Table) -> None:
    up.die("transceiver-1")
    up.sleep(1)
    up.die("transceiver-1", 78)
    up.outputs.clear()
    up.sleep(1000)
    assert not up.take(Spawn)
    assert up.states[WorkerName("transceiver-1")] is WorkerState.FAILED


def test_gives_up_at_start_when_no_worker_of_a_role_can_start(table: Table) -> None:
    table.feed(StartRequested())
    for name in NAMES[:4]:
        table.ready(name)
    table.die("signaling-0", 78)
    assert table.sent("relay-0")[-1] == Stop()
    for name in NAMES[:4]:
        table.die(name, 0)
    (finished,) = table.take(Finished)
    assert finished == Finished(78, "signaling-0 its configuration is wrong (exit code 78)")


def test_an_onlooker_that_cannot_start_is_nobody_elses_trouble() -> None:
    table = Table(onlookers=True)
    table.feed(StartRequested())
    table.die("telemetry-0", 78)
    for name in NAMES:
        table.ready(name)
    table.apply_routes()
    assert table.core.state is ApplianceState.READY
    assert table.states[WorkerName("telemetry-0")] is WorkerState.FAILED
    assert not table.take(Finished)


def test_an_onlooker_sees_the_drain_and_leaves_with_the_relays() -> None:
    table = Table(onlookers=True)
    table.start()
    table.feed(DrainRequested())
    for name in ("transceiver-0", "transceiver-1"):
        table.die(name, 0)
    assert not [m for m in table.sent("telemetry-0") if isinstance(m, Drain | Stop)]
    for name in ("signaling-0", "relay-0", "relay-1"):
        assert not [m for m in table.sent("telemetry-0") if isinstance(m, Stop)]
        table.die(name, 0)
    assert [m for m in table.sent("telemetry-0") if isinstance(m, Stop)]
    table.die("telemetry-0", 0)
    assert table.take(Finished) == [Finished(0, "")]


def test_a_worker_that_cannot_be_started_counts_as_a_failed_boot(table: Table) -> None:
    outputs = table.core.handle(StartRequested(), table.now)
    (spawn,) = [o for o in outputs if isinstance(o, Spawn) and o.spec.role is Role.SIGNALING]
    failed = SpawnFailed(spawn.process, "Resource temporarily unavailable")
    changes = [o for o in table.core.handle(failed, table.now) if isinstance(o, WorkerChanged)]
    assert [(c.state, c.why) for c in changes] == [
        (
            WorkerState.BACKOFF,
            "did not start: could not be started: Resource temporarily unavailable",
        )
    ]


def test_a_start_that_takes_too_long_is_killed(table: Table) -> None:
    table.feed(StartRequested())
    table.hello("relay-0")
    table.sleep(START_TIMEOUT + 0.1)
    killed = table.take(Kill)
    assert {kill.process.name for kill in killed} == set(NAMES)
    assert killed[0].why == "not ready within 20 s"


def test_a_silent_worker_is_killed_and_replaced(up: Table) -> None:
    for _ in range(int(HEARTBEAT_TIMEOUT) + 1):
        up.sleep(1, beating=False)
        up.beat(but="transceiver-0")
    (kill,) = up.take(Kill)
    assert kill == Kill(up.current["transceiver-0"], "no heartbeat for 8 s")
    up.die("transceiver-0")
    (change,) = [o for o in up.outputs if isinstance(o, WorkerChanged) and o.why]
    assert change.why == "no heartbeat for 8 s (killed by signal 9)"
    assert [s.spec.name for s in up.take(Spawn)] == ["transceiver-0"]


def test_nobody_is_killed_when_the_supervisor_itself_stood_still(up: Table) -> None:
    up.now += 60
    up._take_in(up.core.handle_timeout(up.now))
    assert not up.take(Kill)
    up.beat()
    up.sleep(20)
    assert not up.take(Kill)


def test_heartbeats_are_answered_and_counted(up: Table) -> None:
    beat = Heartbeat(WorkerPhase.READY, 17)
    up.say("transceiver-0", beat)
    assert up.sent("transceiver-0") == [beat]
    assert next(w for w in up.core.workers(up.now) if w.name == "transceiver-0").sessions == 17
    told = up.sent("signaling-0")[-1]
    assert isinstance(told, Transceivers)
    assert told.entries[0].sessions == 17


def test_signaling_is_told_of_the_transceivers_now_and_then(up: Table) -> None:
    up.sleep(3 * REPEAT_EVERY)
    assert len([m for m in up.sent("signaling-0") if isinstance(m, Transceivers)]) == 3


def test_a_life_sign_without_news_is_answered_and_has_no_other_consequence(up: Table) -> None:
    beat = Heartbeat(WorkerPhase.READY, 1)
    up.say("transceiver-0", beat)
    up.outputs.clear()
    up.say("transceiver-0", beat, beat)
    assert [output.message for output in up.take(Send)] == [beat, beat]


def test_who_is_silent_dies_as_soon_as_before_though_it_had_no_news_for_long(up: Table) -> None:
    for _ in range(30):
        up.sleep(2, beating=False)
        for name in up.current:
            up.say(name, Heartbeat(WorkerPhase.READY))
    assert not up.take(Kill)
    up.sleep(HEARTBEAT_TIMEOUT - 0.1, beating=False)
    assert not up.take(Kill)
    up.sleep(0.2, beating=False)
    assert {kill.process.name for kill in up.take(Kill)} == up.current.keys()


def test_a_drain_follows_the_packets(up: Table) -> None:
    up.drain()
    told = [m for m in up.sent("signaling-0") if isinstance(m, Transceivers)][-1]
    assert told.draining
    assert not any(entry.accepting for entry in told.entries)
    assert up.sent("transceiver-0")[-1] == Drain(up.config.supervisor.drain_timeout)
    assert not [m for name in NAMES[:2] for m in up.sent(name) if isinstance(m, Drain | Stop)]
    assert up.core.state is ApplianceState.DRAINING

    up.die("transceiver-0", 0)
    up.beat()
    assert not [m for m in up.sent("signaling-0") if isinstance(m, Drain | Stop)]
    up.die("transceiver-1", 0)
    assert [m for m in up.sent("signaling-0") if isinstance(m, Drain)]
    assert not [m for m in up.sent("relay-0") if isinstance(m, Drain | Stop)]
    up.die("signaling-0", 0)
    assert up.sent("relay-0")[-1] == Drain(0.0)  # whose media could it still carry?
    up.die("relay-0", 0)
    assert not [o for o in up.outputs if isinstance(o, Finished)]
    up.die("relay-1", 0)
    assert up.outputs[-1] == Finished(0, "")
    assert up.core.next_timeout() is None


def test_signaling_serves_the_last_hang_ups_after_sessions_were_drained(up: Table) -> None:
    up.say("transceiver-0", Heartbeat(WorkerPhase.READY, 1))
    up.drain()
    up.die("transceiver-0", 0)
    up.die("transceiver-1", 0)
    up.sleep(0.9)
    assert not [m for m in up.sent("signaling-0") if isinstance(m, Drain | Stop)]
    up.sleep(0.2)
    assert [m for m in up.sent("signaling-0") if isinstance(m, Drain)]


def test_a_relay_that_dies_during_a_drain_is_replaced_but_a_transceiver_is_not(up: Table) -> None:
    up.drain()
    up.outputs.clear()
    up.die("relay-0")
    up.die("transceiver-0")
    up.sleep(1)
    assert [s.spec.name for s in up.take(Spawn)] == ["relay-0"]


def test_a_transceiver_that_does_not_end_is_killed(up: Table) -> None:
    up.drain()
    up.sleep(up.config.supervisor.drain_timeout + 8)
    assert {k.process.name: k.why for k in up.take(Kill)} == {
        "transceiver-0": "did not end in time",
        "transceiver-1": "did not end in time",
    }


def test_workers_that_are_starting_when_a_drain_begins_are_ended(table: Table) -> None:
    table.feed(StartRequested())
    table.drain()
    assert {k.process.name for k in table.take(Kill)} == {"transceiver-0", "transceiver-1"}
    table.die("transceiver-0")
    table.die("transceiver-1")
    assert [k.process.name for k in table.take(Kill)] == ["signaling-0"]
    table.die("signaling-0")
    table.die("relay-0")
    table.die("relay-1")
    assert table.take(Finished) == [Finished(0, "")]


def test_a_second_signal_stops_everything_at_once(up: Table) -> None:
    up.drain()
    up.outputs.clear()
    up.feed(StopRequested())
    assert {o.process.name for o in up.outputs if isinstance(o, Send) and o.message == Stop()} == {
        *NAMES
    }
    for name in NAMES:
        up.die(name, 0)
    assert up.take(Finished) == [Finished(0, "")]


def test_a_worker_that_ignores_stop_is_killed(up: Table) -> None:
    up.feed(StopRequested())
    up.sleep(3.1)
    assert {k.process.name for k in up.take(Kill)} == set(NAMES)


def test_told_to_end_before_it_began(table: Table) -> None:
    table.drain()
    assert table.take(Finished) == [Finished(0, "")]
    table.feed(StartRequested())
    assert not table.outputs


def test_a_second_drain_request_changes_nothing(up: Table) -> None:
    up.drain()
    up.outputs.clear()
    up.feed(DrainRequested())
    assert not up.outputs


def test_a_worker_that_an_operator_ended_is_replaced_when_it_is_done(up: Table) -> None:
    up.say("transceiver-0", Heartbeat(WorkerPhase.DRAINING, 3))
    assert up.states[WorkerName("transceiver-0")] is WorkerState.DRAINING
    assert up.accepting() == [False, True]
    assert not [m for m in up.sent("relay-0") if isinstance(m, Routes)], "its sessions live on"
    up.sleep(100)
    assert not up.take(Kill)
    up.die("transceiver-0", 0)
    up.sleep(0.001)
    assert [s.spec.name for s in up.take(Spawn)] == ["transceiver-0"]


@pytest.mark.parametrize(
    ("process", "pid", "message", "why"),
    [
        (("relay-0", 1), 77, Heartbeat(WorkerPhase.READY), "no process relay-0:1 was started here"),
        (("stranger", FIRST + 50), 77, Heartbeat(WorkerPhase.READY), "no process stranger"),
        (("relay-0", FIRST), 77, Ready(), f"relay-0:{FIRST} is process 11000, not 77"),
        (("relay-0", FIRST), 11_000, Ready(), "said something before Hello"),
        (
            ("relay-0", FIRST),
            11_000,
            Hello(9, WorkerName("relay-0"), Role.RELAY, FIRST, 11_000),
            "speaks version 9, the supervisor 1",
        ),
        (
            ("relay-0", FIRST),
            11_000,
            Hello(1, WorkerName("relay-0"), Role.SIGNALING, FIRST, 11_000),
            "its Hello and its socket identity differ",
        ),
    ],
)
def test_impostors_are_rejected(
    table: Table, process: tuple[str, int], pid: int, message: Hello | Ready | Heartbeat, why: str
) -> None:
    table.feed(StartRequested())
    table.outputs.clear()
    who = ProcessId(WorkerName(process[0]), process[1])
    table.feed(Received(who, pid, message))
    (reject,) = table.take(Reject)
    assert (reject.process, reject.pid) == (who, pid)
    assert reject.why.startswith(why)


def test_strangers_are_rejected_before_anything_was_started(table: Table) -> None:
    who = ProcessId(WorkerName("relay-0"), 7)
    table.feed(Received(who, 77, Heartbeat(WorkerPhase.READY)))
    assert [type(o) for o in table.outputs] == [Reject]


def test_last_words_of_a_dead_process_are_ignored(up: Table) -> None:
    process, pid = up.current["relay-0"], up.pids[up.current["relay-0"]]
    up.die("relay-0")
    up.outputs.clear()
    up.feed(Received(process, pid, Farewell("done")))
    assert not up.outputs


def test_news_of_a_dead_process_is_not_taken_for_its_successor(up: Table) -> None:
    old = up.current["relay-0"]
    up.die("relay-0")
    up.ready("relay-0")
    up.outputs.clear()
    up.pids[old] = 1
    up.current["relay-0"], new = old, up.current["relay-0"]
    up.die("relay-0")
    assert not up.outputs
    assert new in up.pids


def test_a_hello_again_is_answered_with_the_truth_again(up: Table) -> None:
    up.hello("relay-0")
    kinds = [type(m) for m in up.sent("relay-0")]
    assert kinds == [Welcome, Routes]


def test_as_many_workers_as_the_configuration_says() -> None:
    config = Config.model_validate({"relay": {"workers": 3}, "transceiver": {"workers": 1}})
    table = Table(config)
    table.start()
    spawns = table.take(Spawn)
    assert [s.spec.name for s in spawns] == [
        "relay-0",
        "relay-1",
        "relay-2",
        "transceiver-0",
        "signaling-0",
    ]
    assert [s.spec.cpu for s in spawns] == [0, 1, 0, None, None]
