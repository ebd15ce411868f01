"""Relays are replaced one by one: never two at a time, never without a successor, never for the worse."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.handover import CANARY_TIMEOUT, SPARE_PATIENCE
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    ApplianceChanged,
    DrainRequested,
    Exited,
    Kill,
    Received,
    Reloaded,
    Send,
    Spawn,
)
from appliance.supervisor.core.lifecycle import RELEASE_TIMEOUT, WorkerState
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Farewell, Release, Released
from tests.support.supervision import Table

NEW = Config.model_validate({"relay": {"flow_idle": 90.0}})


@pytest.fixture
def up() -> Table:
    table = Table()
    table.start()
    table.outputs.clear()
    return table


def released(table: Table) -> list[str]:
    """Who was told to let go, since the last `take`."""
    return [
        o.process.name
        for o in table.outputs
        if isinstance(o, Send) and isinstance(o.message, Release)
    ]


def replace(table: Table, name: str) -> None:
    """Play the whole replacement of one relay."""
    old = table.current[name]
    table.say(name, Released())
    assert table.current[name] != old
    table.feed(Received(old, table.pids[old], Farewell("done")))
    table.leave(old)
    table.ready(name)
    table.apply_routes()


def test_all_relays_one_after_the_other(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    assert released(up) == ["relay-0"]
    replace(up, "relay-0")
    assert released(up) == ["relay-0", "relay-1"]
    assert not [o for o in up.outputs if isinstance(o, Reloaded)]
    replace(up, "relay-1")
    spawns = [o for o in up.outputs if isinstance(o, Spawn)]
    assert [(s.spec.name, s.config, s.spare is not None) for s in spawns] == [
        ("relay-0", NEW, True),
        ("relay-1", NEW, True),
    ]
    assert up.core.state is ApplianceState.READY
    assert not [o for o in up.outputs if isinstance(o, ApplianceChanged)]
    assert up.take(Reloaded) == [Reloaded((WorkerName("relay-0"), WorkerName("relay-1")))]
    assert [w.restarts for w in up.core.workers(up.now)] == [0] * 5
    up.die("transceiver-0")
    assert [s.config for s in up.take(Spawn)] == [NEW]


def test_the_successor_starts_only_when_its_predecessor_let_go(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    up.sleep(RELEASE_TIMEOUT - 0.1)
    assert not up.take(Spawn)
    up.sleep(0.2)
    (kill,) = up.take(Kill)
    assert kill.why == f"did not release its sockets within {RELEASE_TIMEOUT:g} s"
    up.die("relay-0")
    assert [s.spec.name for s in up.take(Spawn)] == ["relay-0"]


def test_one_that_releases_but_does_not_end_is_killed(up: Table) -> None:
    old = up.current["relay-0"]
    up.reload(NEW, Role.RELAY)
    up.say("relay-0", Released())
    up.hello("relay-0")
    up.sleep(3.1)
    assert [kill.process for kill in up.take(Kill)] == [old]
    up.leave(old)
    up.ready("relay-0")
    assert up.states[WorkerName("relay-0")] is WorkerState.READY


def test_the_next_one_waits_for_a_spare_but_not_for_ever(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    up.spares_come_up = False
    replace(up, "relay-0")
    assert released(up) == ["relay-0"]
    up.sleep(SPARE_PATIENCE - 1)
    assert released(up) == ["relay-0"]
    up.sleep(1.1)
    assert released(up) == ["relay-0", "relay-1"]


def test_a_canary_that_does_not_come_up_changes_nothing(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    up.say("relay-0", Released())
    up.outputs.clear()
    up.die("relay-0", 70)
    (reloaded,) = [o for o in up.outputs if isinstance(o, Reloaded)]
    assert reloaded.replaced == ()
    assert reloaded.problem == (
        "relay-0 did not start: exit code 70; every relay has the configuration it had before"
    )
    (spawn,) = up.take(Spawn)
    assert (spawn.spec.name, spawn.config) == ("relay-0", up.config)
    assert released(up) == []


def test_a_canary_that_hangs_is_killed_sooner_than_at_a_start(up: Table) -> None:
    old = up.current["relay-0"]
    up.reload(NEW, Role.RELAY)
    up.say("relay-0", Released())
    up.leave(old)
    up.outputs.clear()
    up.sleep(CANARY_TIMEOUT + 0.1)
    assert [kill.why for kill in up.take(Kill)] == ["not ready within 5 s"]


def test_a_later_one_that_does_not_come_up_is_not_the_configurations_fault(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    replace(up, "relay-0")
    up.say("relay-1", Released())
    up.outputs.clear()
    up.die("relay-1", 70)
    (reloaded,) = [o for o in up.outputs if isinstance(o, Reloaded)]
    assert reloaded.replaced == ("relay-0",)
    assert reloaded.problem == "relay-1 did not start: exit code 70; it is tried again"
    up.sleep(1)
    assert [s.config for s in up.take(Spawn)] == [NEW]


def test_a_relay_that_had_failed_may_be_cured_by_it(up: Table) -> None:
    up.die("relay-0")
    up.die("relay-0", 78)
    assert up.states[WorkerName("relay-0")] is WorkerState.FAILED
    up.outputs.clear()
    up.reload(NEW, Role.RELAY)
    assert [(s.spec.name, s.config) for s in up.take(Spawn)] == [("relay-0", NEW)]
    up.ready("relay-0")
    up.apply_routes()
    assert released(up) == ["relay-1"]


def test_without_a_roll_it_is_in_force_at_once(up: Table) -> None:
    live = Config.model_validate({"supervisor": {"drain_timeout": 1.0}})
    up.reload(live)
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [Reloaded(())]
    assert released(up) == []
    up.drain()
    assert up.sent("transceiver-0")[-1].within == 1.0  # type: ignore[attr-defined]


def test_a_drain_ends_a_roll(up: Table) -> None:
    up.reload(NEW, Role.RELAY)
    up.feed(DrainRequested())
    (reloaded,) = up.take(Reloaded)
    assert reloaded.problem == "the appliance was told to end"
    up.say("relay-0", Released())
    assert [s.spec.name for s in up.take(Spawn)] == ["relay-0"]  # the sessions still need it


def test_one_at_a_time_and_only_when_it_serves(up: Table) -> None:
    early = Table()
    early.reload(NEW, Role.RELAY)
    assert [r.problem for r in early.take(Reloaded)] == ["the appliance is starting or draining"]
    up.reload(NEW, Role.RELAY)
    up.reload(NEW, Role.RELAY)
    assert [r.problem for r in up.take(Reloaded)] == ["the appliance is being replaced already"]


def test_last_words_after_the_release_are_nobodys_crash(up: Table) -> None:
    old = up.current["relay-0"]
    up.reload(NEW, Role.RELAY)
    up.say("relay-0", Released())
    up.outputs.clear()
    up.feed(Exited(old, 70))
    assert not up.outputs
