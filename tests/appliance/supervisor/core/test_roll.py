"""Successors come up beside their predecessors, unused until all of them serve; then all change at once."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.alteration import GENERATIONS, INTERRUPTED
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    ApplianceChanged,
    DrainRequested,
    Kill,
    Reloaded,
    Spawn,
)
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.succession import KNOWN_WITHIN
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Drain, Released, Stop
from ipc.messages.routes import Transceivers
from tests.support.supervision import Table

OLD = Config.model_validate({"realtime": {"url": "wss://old.example/"}})
NEW = Config.model_validate({"realtime": {"url": "wss://new.example/"}})
BESIDE = (Role.REALTIME, Role.TRANSCEIVER, Role.SIGNALING)


@pytest.fixture
def up() -> Table:
    table = Table(OLD)
    table.start()
    table.outputs.clear()
    return table


def spawned(table: Table) -> list[str]:
    return [o.spec.name for o in table.outputs if isinstance(o, Spawn)]


def told(table: Table, name: str, kind: type) -> bool:
    return any(isinstance(message, kind) for message in table.sent(name))


def come_up(table: Table, *names: str) -> None:
    for name in names:
        table.ready(name)
        table.apply_routes()


def only(table: Table) -> Reloaded:
    (reloaded,) = [o for o in table.outputs if isinstance(o, Reloaded)]
    return reloaded


def test_canaries_first_then_the_others_then_all_change_at_once(up: Table) -> None:
    up.reload(NEW, *BESIDE)
    assert spawned(up) == ["realtime-1"]
    come_up(up, "realtime-1")
    assert spawned(up) == ["realtime-1", "transceiver-2"]
    come_up(up, "transceiver-2")
    come_up(up, "signaling-1")
    assert spawned(up)[2:] == ["signaling-1", "transceiver-3"]
    assert not told(up, "signaling-1", Transceivers)
    assert [e.accepting for e in up.core.transceivers()] == [True, True, False, False][:3]
    assert not any(told(up, name, Drain) for name in ("transceiver-0", "signaling-0"))
    come_up(up, "transceiver-3")
    assert only(up) == Reloaded(
        tuple(map(WorkerName, ("realtime-0", "transceiver-0", "transceiver-1", "signaling-0")))
    )
    assert [e.accepting for e in up.core.transceivers()] == [False, False, True, True]
    assert told(up, "signaling-1", Transceivers)
    assert all(told(up, f"transceiver-{n}", Drain) for n in (0, 1))
    assert told(up, "signaling-0", Drain)
    assert not [o for o in up.outputs if isinstance(o, ApplianceChanged)]
    assert up.core.state is ApplianceState.READY


def test_a_successor_works_by_the_new_configuration_and_with_the_new_back_end(up: Table) -> None:
    up.reload(NEW, Role.REALTIME)
    come_up(up, "realtime-1", "transceiver-2", "transceiver-3")
    spawns = {o.spec.name: o for o in up.outputs if isinstance(o, Spawn)}
    assert {spawn.config.realtime.url for spawn in spawns.values()} == {NEW.realtime.url}
    assert spawns[WorkerName("transceiver-2")].realtime == (1,)
    routes = [entry.route for entry in up.core.transceivers()]
    assert len(set(routes)) == 4
    up.outputs.clear()
    up.die("transceiver-3")
    assert [(s.config, s.realtime) for s in up.take(Spawn)] == [(NEW, (1,))]


def test_the_old_ones_finish_and_are_forgotten_the_back_end_last(up: Table) -> None:
    up.reload(NEW, *BESIDE)
    come_up(up, "realtime-1", "transceiver-2", "signaling-1", "transceiver-3")
    assert [m.within for m in up.sent("transceiver-0") if isinstance(m, Drain)] == [
        NEW.supervisor.roll_timeout
    ]
    assert not told(up, "realtime-0", Drain)
    for name in ("signaling-0", "transceiver-0", "transceiver-1"):
        up.die(name, 0)
    assert told(up, "realtime-0", Drain)
    up.die("realtime-0", 0)
    assert [w.name for w in up.core.workers(up.now)] == [
        *("relay-0", "relay-1", "transceiver-2", "transceiver-3", "signaling-1", "realtime-1")
    ]
    assert up.core.state is ApplianceState.READY
    up.outputs.clear()
    up.reload(OLD, Role.SIGNALING)
    assert spawned(up) == ["signaling-0"]


@pytest.mark.parametrize("victim", ["transceiver-2", "signaling-1", "transceiver-3"])
def test_one_that_does_not_come_up_leaves_all_as_it_was(up: Table, victim: str) -> None:
    up.reload(NEW, Role.TRANSCEIVER, Role.SIGNALING)
    for name in ("transceiver-2", "signaling-1", "transceiver-3"):
        if name == victim:
            break
        come_up(up, name)
    up.die(victim, 70)
    assert only(up) == Reloaded((), f"{victim} did not start: exit code 70; all else is as it was")
    for name in ("transceiver-2", "signaling-1"):
        if name in up.current and up.current[name] in up.pids:
            assert told(up, name, Stop)
            up.die(name, 0)
    assert up.accepting() == [True, True]
    assert up.core.state is ApplianceState.READY
    assert [w.name for w in up.core.workers(up.now)][2:] == [
        *("transceiver-0", "transceiver-1", "signaling-0", "realtime-0")
    ]
    up.outputs.clear()
    up.die("transceiver-0")
    assert [spawn.config for spawn in up.take(Spawn)] == [OLD]


def test_no_relay_is_touched_before_every_kind_has_shown_that_it_comes_up(up: Table) -> None:
    up.reload(NEW, *Role)
    for name in ("realtime-1", "transceiver-2"):
        come_up(up, name)
    before = up.current["relay-0"]
    assert up.states[WorkerName("relay-0")] is WorkerState.READY
    come_up(up, "signaling-1")
    assert up.states[WorkerName("relay-0")] is WorkerState.RELEASING
    up.say("relay-0", Released())
    up.leave(before)
    up.die("relay-0", 70)
    assert only(up).problem.endswith("every relay has the configuration it had before")
    assert told(up, "transceiver-2", Stop)


def test_a_relay_that_does_not_take_notice_ends_it(up: Table) -> None:
    up.reload(NEW, Role.TRANSCEIVER)
    up.ready("transceiver-2")
    up.sleep(KNOWN_WITHIN + 0.1)
    assert only(up).problem == (
        "not every relay has taken notice of transceiver-2; all else is as it was"
    )


def test_more_transceivers_and_fewer(up: Table) -> None:
    three = Config.model_validate({**OLD.model_dump(), "transceiver": {"workers": 3}})
    up.reload(three)
    come_up(up, "transceiver-2")
    assert only(up) == Reloaded((), added=(WorkerName("transceiver-2"),))
    up.outputs.clear()
    one = Config.model_validate({**OLD.model_dump(), "transceiver": {"workers": 1}})
    up.reload(one)
    removed = tuple(map(WorkerName, ("transceiver-1", "transceiver-2")))
    assert only(up) == Reloaded((), removed=removed)
    assert up.accepting() == [True, False, False]
    assert all(told(up, name, Drain) for name in removed)


def test_who_leaves_is_hurried_when_the_appliance_ends(up: Table) -> None:
    up.reload(NEW, Role.TRANSCEIVER)
    come_up(up, "transceiver-2", "transceiver-3")
    up.outputs.clear()
    up.feed(DrainRequested())
    (drain,) = [m for m in up.sent("transceiver-0") if isinstance(m, Drain)]
    assert drain.within == OLD.supervisor.drain_timeout
    up.sleep(OLD.supervisor.drain_timeout + 8)
    assert {kill.process.name for kill in up.take(Kill)} >= {"transceiver-0", "transceiver-1"}


def test_a_drain_ends_it(up: Table) -> None:
    up.reload(NEW, Role.TRANSCEIVER)
    come_up(up, "transceiver-2")
    up.feed(DrainRequested())
    assert only(up) == Reloaded((), INTERRUPTED)
    assert told(up, "transceiver-2", Drain)


def test_old_generations_do_not_pile_up_for_ever(up: Table) -> None:
    for generation in range(GENERATIONS):
        up.outputs.clear()
        up.reload(NEW, Role.SIGNALING)
        come_up(up, f"signaling-{generation + 1}")
        assert not only(up).problem
    up.outputs.clear()
    up.reload(NEW, Role.SIGNALING)
    assert only(up).problem == (
        f"signaling-0 and {GENERATIONS - 1} more still finish old sessions;"
        " try again when some have ended"
    )
