"""One spare a role, taken once, replaced in time, given up never and hammered never."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.interface import (
    DrainRequested,
    EndSpare,
    SpareGone,
    Spawn,
    StartRequested,
    StartSpare,
    StopRequested,
)
from appliance.supervisor.core.spares import RETRY_BASE, RETRY_CAP, Spares
from config.ids import Role
from config.model import Config
from tests.support.supervision import Table

WANTED = {Role.RELAY}
"""Of the default configuration; who has no workers needs no spare."""
REALTIME = {"realtime": {"url": "ws://127.0.0.1:1/"}, "relay": {"workers": 1}}


def test_none_is_started_before_the_appliance_serves() -> None:
    table = Table()
    table.feed(StartRequested())
    assert not table.take(StartSpare)
    table.start()
    assert {start.spare.role for start in table.take(StartSpare)} == WANTED
    assert [row.waiting for row in table.core.spares()] == [True]


def test_whom_no_live_call_waits_for_has_none() -> None:
    table = Table(onlookers=True)
    table.start()
    assert {"telemetry-0", "signaling-0", "transceiver-0"} <= table.current.keys()
    assert {start.spare.role for start in table.take(StartSpare)} == WANTED


def test_a_role_that_is_configured_has_one_too() -> None:
    table = Table(Config.model_validate(REALTIME))
    table.start()
    assert {start.spare.role for start in table.take(StartSpare)} == WANTED | {Role.REALTIME}


@pytest.mark.parametrize("name", ["relay-0", "realtime-0"])
def test_a_dead_worker_gets_the_spare_of_its_role_and_then_there_is_a_new_one(name: str) -> None:
    table = Table(Config.model_validate(REALTIME))
    table.start()
    (old,) = [s.spare for s in table.take(StartSpare) if name.startswith(s.spare.role.label)]
    table.die(name)
    (spawn,) = [o for o in table.outputs if isinstance(o, Spawn)]
    assert spawn.spare == old
    assert not table.take(StartSpare)
    table.ready(name)
    (start,) = table.take(StartSpare)
    assert start.spare.role is old.role
    assert start.spare != old


def test_a_second_death_before_that_is_a_cold_start() -> None:
    table = Table()
    table.start()
    table.die("relay-0")
    table.die("relay-1")
    spares = [spawn.spare for spawn in table.take(Spawn)][-2:]
    assert spares[0] is not None
    assert spares[1] is None


def test_a_spare_that_ends_is_replaced_ever_more_slowly() -> None:
    table = Table()
    table.start()
    table.spares_come_up = False
    waits = []
    for _ in range(9):
        (spare,) = [spare for spare in table.spares if spare.role is Role.RELAY]
        table.spares.discard(spare)
        table.outputs.clear()
        table.feed(SpareGone(spare, "exit code 1"))
        died = table.now
        while not [s for s in table.outputs if isinstance(s, StartSpare)]:
            table.sleep(0.5)
        waits.append(table.now - died)
    assert waits == pytest.approx([RETRY_BASE * 2**n for n in range(6)] + [RETRY_CAP] * 3, abs=0.6)


@pytest.mark.parametrize("ending", [DrainRequested(), StopRequested()])
def test_they_end_as_soon_as_nothing_is_to_be_started_any_more(
    ending: DrainRequested | StopRequested,
) -> None:
    table = Table()
    table.start()
    table.feed(ending)
    assert {end.spare.role for end in table.take(EndSpare)} == WANTED
    assert table.core.spares() == ()
    table.sleep(5)
    assert not table.take(StartSpare)


def test_an_operator_may_do_without() -> None:
    table = Table(Config.model_validate({"supervisor": {"spares": False}}))
    table.start()
    table.die("relay-0")
    assert not table.take(StartSpare)


def test_news_of_a_spare_that_was_taken_mean_nothing() -> None:
    spares = Spares()
    (start, *_) = spares.fill(set(Role), 0.0)
    assert spares.take(start.spare.role) == start.spare
    spares.gone(start.spare, 0.0)
    spares.started(start.spare, 1)
    spares.waits(start.spare)
    assert spares.status() == ()
    assert not spares.is_waiting(start.spare.role)
    assert [again.spare.role for again in spares.fill(set(Role), 0.0)] == [start.spare.role]
