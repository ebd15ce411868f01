"""A released relay stays until somebody else can be asked for what it holds."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Kill, ProcessId, Send
from appliance.supervisor.core.patience import STOP_GRACE
from appliance.supervisor.core.releases import Releases
from appliance.supervisor.core.spec import WorkerSpec
from config.ids import Role, WorkerName
from config.model import Config
from ipc.messages.lifecycle import Stop

NAME = WorkerName("relay-0")
OLD = ProcessId(NAME, 1)
TOLD = [Send(OLD, 100, Stop())]


@pytest.fixture
def fleet() -> Fleet:
    """With a successor that is starting."""
    fleet = Fleet(Config(), (WorkerSpec(NAME, Role.RELAY, 0),))
    worker = fleet.get(NAME)
    assert worker is not None
    worker.begin_process(2, None)
    worker.life.spawn(10.0)
    return fleet


@pytest.fixture
def releases() -> Releases:
    releases = Releases()
    assert not releases
    releases.add(OLD, 100)
    return releases


def test_it_stays_until_its_successor_says_hello(fleet: Fleet, releases: Releases) -> None:
    assert releases.let_go(fleet, 10.0) == []
    assert OLD in releases
    assert releases.deadline is None
    worker = fleet.get(NAME)
    assert worker is not None
    worker.welcomed = True
    assert releases.let_go(fleet, 11.0) == TOLD
    assert releases.let_go(fleet, 11.0) == []
    assert OLD in releases
    releases.gone(OLD)
    assert not releases


def test_it_ends_when_there_will_be_no_successor(fleet: Fleet, releases: Releases) -> None:
    worker = fleet.get(NAME)
    assert worker is not None
    worker.life.exited("exit code 70", 70, 10.5, wanted=True)
    assert releases.let_go(fleet, 11.0) == TOLD
    releases.gone(OLD)
    fleet.remove(worker)
    releases.add(OLD, 100)
    assert releases.let_go(fleet, 11.0) == TOLD


def test_who_does_not_end_is_killed_again_and_again(fleet: Fleet, releases: Releases) -> None:
    worker = fleet.get(NAME)
    assert worker is not None
    worker.welcomed = True
    releases.let_go(fleet, 11.0)
    for n in (1, 2):
        due = 11.0 + n * STOP_GRACE
        assert releases.deadline == due
        assert releases.overdue(due - 0.1) == []
        assert releases.overdue(due) == [Kill(OLD, "did not end after its release")]
