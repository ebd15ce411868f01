"""Relays are added before clients come to them, and leave when clients have gone to others."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    Abandon,
    ApplianceChanged,
    Kill,
    Reloaded,
    Send,
    Spawn,
    Steer,
    Steered,
)
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.resize import KNOWN_WITHIN
from config.ids import Role, WorkerName
from ipc.messages.lifecycle import Drain, Release, Released, Stop
from ipc.messages.routes import Relays
from tests.support.supervision import Table, links_of

ADDED = (WorkerName("relay-2"), WorkerName("relay-3"))


@pytest.fixture
def up() -> Table:
    """Two relays, two transceivers, and everybody knows everybody."""
    table = Table()
    table.start()
    table.know_relays()
    table.outputs.clear()
    return table


def told(table: Table) -> dict[str, tuple[object, ...]]:
    """Which relays transceivers were told of."""
    return {
        o.process.name: o.message.links
        for o in table.outputs
        if isinstance(o, Send) and isinstance(o.message, Relays)
    }


def grow(table: Table, relays: int = 4) -> None:
    """All the way."""
    table.resize(relays)
    for name in [name for name in table.current if table.states[WorkerName(name)] != "ready"]:
        table.ready(name)
    table.apply_routes()
    table.know_relays()
    table.feed(Steered())


def state(table: Table) -> ApplianceState:
    return table.core.state


def names(table: Table) -> list[str]:
    return [w.name for w in table.core.workers(table.now) if w.name.startswith("relay")]


# --- more -----------------------------------------------------------------------------------------


def test_clients_come_when_the_new_ones_serve_and_everybody_knows_them(up: Table) -> None:
    up.resize(4)
    assert [s.spec.name for s in up.outputs if isinstance(s, Spawn)] == [*ADDED]
    assert told(up) == {"transceiver-0": links_of(4), "transceiver-1": links_of(4)}
    up.ready("relay-2")
    up.know_relays()
    up.apply_routes()
    assert not [o for o in up.outputs if isinstance(o, Steer)]
    up.ready("relay-3")
    assert not [o for o in up.outputs if isinstance(o, Steer)]
    up.apply_routes()
    assert [o for o in up.outputs if isinstance(o, Steer)] == [Steer(4)]
    assert not [o for o in up.outputs if isinstance(o, Reloaded)]
    up.feed(Steered())
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [Reloaded((), added=ADDED)]
    assert not [o for o in up.outputs if isinstance(o, ApplianceChanged)]
    assert state(up) is ApplianceState.READY


def test_who_joins_is_no_fault_and_who_has_joined_is_one_when_it_dies(up: Table) -> None:
    up.resize(3)
    assert state(up) is ApplianceState.READY
    up.ready("relay-2")
    up.apply_routes()
    up.know_relays()
    up.feed(Steered())
    up.die("relay-2")
    assert state(up) is ApplianceState.DEGRADED
    up.ready("relay-2")
    up.apply_routes()
    assert state(up) is ApplianceState.READY


def test_one_that_does_not_come_up_takes_the_others_with_it(up: Table) -> None:
    up.resize(4)
    up.ready("relay-2")
    up.outputs.clear()
    up.die("relay-3", 70)
    (reloaded,) = [o for o in up.outputs if isinstance(o, Reloaded)]
    assert reloaded.problem == ("relay-3 did not start: exit code 70; there are 2 relays as before")
    assert not [o for o in up.outputs if isinstance(o, Spawn | Abandon)]
    assert names(up) == ["relay-0", "relay-1", "relay-2"]
    up.die("relay-2", 0)
    assert names(up) == ["relay-0", "relay-1"]
    assert [o for o in up.outputs if isinstance(o, Abandon)] == [Abandon(2)]
    assert told(up) == {"transceiver-0": links_of(2), "transceiver-1": links_of(2)}
    up.outputs.clear()
    grow(up)  # and the next attempt is another one
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [Reloaded((), added=ADDED)]


def test_a_transceiver_that_takes_no_notice_ends_it(up: Table) -> None:
    up.resize(3)
    up.ready("relay-2")
    up.apply_routes()
    up.sleep(KNOWN_WITHIN - 0.1)
    assert not up.take(Reloaded)
    up.sleep(0.2)
    (reloaded,) = up.take(Reloaded)
    assert reloaded.problem.startswith("not every worker has taken notice of the new relays")


def test_datagrams_that_cannot_be_steered_end_it(up: Table) -> None:
    up.resize(3)
    up.ready("relay-2")
    up.apply_routes()
    up.know_relays()
    up.feed(Steered("no room for a program"))
    (reloaded,) = up.take(Reloaded)
    assert reloaded.problem == "no room for a program; there are 2 relays as before"
    assert up.core._fleet.config is up.config


# --- fewer ----------------------------------------------------------------------------------------


def test_nothing_comes_to_those_that_leave_and_they_stay_for_a_while(up: Table) -> None:
    up.resize(1)
    assert up.take(Steer) == [Steer(1)]
    up.feed(Steered())
    assert up.sent("relay-1") == [Drain(30.0)]
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [
        Reloaded((), removed=(WorkerName("relay-1"),))
    ]
    assert state(up) is ApplianceState.READY
    assert not told(up)  # what it still brings is heard
    up.outputs.clear()
    up.sleep(29.0)
    assert names(up) == ["relay-0", "relay-1"]
    up.die("relay-1", 0)
    assert names(up) == ["relay-0"]
    assert [o for o in up.outputs if isinstance(o, Abandon)] == [Abandon(1)]
    assert told(up) == {"transceiver-0": links_of(1), "transceiver-1": links_of(1)}
    assert not up.take(Spawn)


def test_one_that_does_not_end_is_killed(up: Table) -> None:
    up.resize(1)
    up.feed(Steered())
    up.sleep(38.0)
    assert [kill.process.name for kill in up.take(Kill)] == ["relay-1"]


def test_one_that_dies_while_it_leaves_has_left(up: Table) -> None:
    up.resize(1)
    up.feed(Steered())
    up.die("relay-1")
    assert names(up) == ["relay-0"]
    assert not up.take(Spawn)


def test_one_that_has_failed_leaves_at_once(up: Table) -> None:
    up.die("relay-1")
    up.die("relay-1", 78)
    assert up.states[WorkerName("relay-1")] is WorkerState.FAILED
    up.resize(1)
    up.feed(Steered())
    assert names(up) == ["relay-0"]


def test_as_long_as_somebody_leaves_there_is_no_other_number(up: Table) -> None:
    up.resize(1)
    up.feed(Steered())
    up.outputs.clear()
    up.resize(2)
    (reloaded,) = up.take(Reloaded)
    assert reloaded.problem == "relay-1 may take up to 30 s to leave; try again after that"
    up.die("relay-1", 0)
    up.outputs.clear()
    grow(up, 2)
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [
        Reloaded((), added=(WorkerName("relay-1"),))
    ]


def test_a_roll_in_the_meantime_leaves_them_alone(up: Table) -> None:
    up.resize(1)
    up.feed(Steered())
    up.outputs.clear()
    up.reload(up.config, Role.RELAY)
    assert isinstance(up.sent("relay-0")[-1], Release)
    up.say("relay-0", Released())
    up.ready("relay-0")
    up.apply_routes()
    assert up.take(Reloaded) == [Reloaded((WorkerName("relay-0"),))]


# --- the same number, and the end -----------------------------------------------------------------


def test_the_same_number_is_done_at_once(up: Table) -> None:
    up.resize(2)
    assert up.take(Steer) == [Steer(2)]
    up.feed(Steered())
    assert up.take(Reloaded) == [Reloaded(())]


def test_a_drain_ends_a_growth(up: Table) -> None:
    up.resize(3)
    up.drain()
    (reloaded,) = up.take(Reloaded)
    assert reloaded.problem == "the appliance was told to end; there are 2 relays as before"


def test_one_thing_at_a_time(up: Table) -> None:
    up.resize(3)
    up.resize(4)
    assert [r.problem for r in up.take(Reloaded)] == ["the appliance is being replaced already"]
    early = Table()
    early.resize(3)
    assert [r.problem for r in early.take(Reloaded)] == ["the appliance is starting or draining"]
    up.feed(Steered())  # nobody asked


def test_a_rehearsal_is_noticed_by_nobody(up: Table) -> None:
    up.resize(3, rehearsal=True)
    up.ready("relay-2")
    up.apply_routes()
    up.know_relays()
    assert not [o for o in up.outputs if isinstance(o, Steer)]
    assert [o for o in up.outputs if isinstance(o, Reloaded)] == [Reloaded(())]
    assert Stop() in up.sent("relay-2")
    assert up.core.state is ApplianceState.READY
    up.outputs.clear()
    # A second one finds its place taken, and is not worth waiting for that.
    up.resize(3, rehearsal=True)
    assert up.take(Reloaded) == [Reloaded(())]
    up.die("relay-2", 0)
    assert up.take(Abandon) == [Abandon(2)]


def test_a_rehearsal_that_fails_says_why(up: Table) -> None:
    up.resize(3, rehearsal=True)
    up.die("relay-2", 70)
    assert [o.problem for o in up.outputs if isinstance(o, Reloaded)] == [
        "relay-2 did not start: exit code 70; there are 2 relays as before"
    ]
    assert up.core.state is ApplianceState.READY
