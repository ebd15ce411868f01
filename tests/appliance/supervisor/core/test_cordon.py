"""What takes no new sessions: told to signaling at once, taken back as easily, and nothing ends."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.cordon import Cordon
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import CordonRequested, Cordons, Kill, Send
from config.ids import Role, WorkerName
from ipc.messages.lifecycle import Drain, Stop
from ipc.messages.routes import Transceivers
from tests.support.supervision import Table

T0, T1 = WorkerName("transceiver-0"), WorkerName("transceiver-1")


@pytest.fixture
def up() -> Table:
    table = Table()
    table.start()
    table.outputs.clear()
    return table


def told(table: Table) -> Transceivers:
    """What signaling was told last."""
    return [m for m in table.sent("signaling-0") if isinstance(m, Transceivers)][-1]


def test_the_host_and_back(up: Table) -> None:
    up.feed(CordonRequested())
    assert told(up).draining
    assert [entry.accepting for entry in told(up).entries] == [False, False]
    assert (up.core.state, up.core.is_cordoned) == (ApplianceState.CORDONED, True)
    up.sleep(100)
    ended = [o for o in up.outputs if isinstance(o, Send) and isinstance(o.message, Drain | Stop)]
    assert ended == []
    assert not [o for o in up.outputs if isinstance(o, Kill)]
    up.feed(CordonRequested(lift=True))
    assert not told(up).draining
    assert up.accepting() == [True, True]
    assert up.core.state is ApplianceState.READY


def test_one_transceiver(up: Table) -> None:
    up.feed(CordonRequested((T1,)))
    assert not told(up).draining
    assert up.accepting() == [True, False]
    assert up.core.state is ApplianceState.READY
    assert [w.cordoned for w in up.core.workers(up.now)] == [False, False, False, True, False]
    up.feed(CordonRequested((T1,), lift=True))
    assert up.accepting() == [True, True]


def test_it_holds_for_whoever_has_the_name_next_but_not_for_a_successor(up: Table) -> None:
    up.feed(CordonRequested((T0,)))
    up.die(T0)
    up.ready(T0)
    up.apply_routes()
    assert up.accepting() == [False, True]
    up.outputs.clear()
    up.reload(up.config, Role.TRANSCEIVER)
    for name in ("transceiver-2", "transceiver-3"):
        up.ready(name)
        up.apply_routes()
    assert up.take(Cordons) == [Cordons()]
    assert up.accepting() == [False, False, True, True]


def test_who_is_no_transceiver_is_named_and_nothing_changes(up: Table) -> None:
    up.feed(CordonRequested((T0, WorkerName("relay-0"))))
    assert up.take(Cordons) == [
        Cordons(
            problem="relay-0 is no transceiver that takes sessions; these are: transceiver-0, transceiver-1"
        )
    ]
    assert up.accepting() == [True, True]


def test_undraining_the_host_takes_everything_back(up: Table) -> None:
    up.feed(CordonRequested((T0,)))
    up.feed(CordonRequested())
    up.feed(CordonRequested(lift=True))
    assert up.take(Cordons)[-1] == Cordons()


def test_a_cordon_on_file_is_in_force_from_the_start() -> None:
    cordon = Cordon(Cordons(host=True, workers=(T0,)))
    assert cordon.host
    assert (cordon.has(T0), cordon.has(T1)) == (True, False)
    assert cordon.keep([T1])
    assert not cordon.keep([T1])
    assert cordon.value == Cordons(host=True)
