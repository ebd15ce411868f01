"""Each role hears of the others what it needs, at its Hello and at every change, and not more often."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.distribution import REPEAT_EVERY
from config.ids import Endpoint
from ipc.messages.lifecycle import Welcome
from ipc.messages.routes import Relays, RelaysApplied, Routes, Transceivers
from tests.support.supervision import Table, links_of


@pytest.fixture
def up() -> Table:
    table = Table()
    table.start()
    return table


@pytest.mark.parametrize(
    ("name", "truth"),
    [("relay-0", Routes), ("transceiver-0", Relays), ("signaling-0", Transceivers)],
)
def test_a_process_is_told_the_whole_truth_at_its_hello(
    up: Table, name: str, truth: type[object]
) -> None:
    up.outputs.clear()
    up.hello(name)
    welcome, told, *more = up.sent(name)
    assert isinstance(welcome, Welcome)
    assert isinstance(told, truth)
    assert not more
    if isinstance(told, Relays):
        assert told.links == links_of(2)


def test_news_goes_once_to_each_that_it_concerns(up: Table) -> None:
    up.outputs.clear()
    up.sleep(0.5)
    assert not up.outputs
    up.die("transceiver-1")
    for relay in ("relay-0", "relay-1"):
        (routes,) = up.sent(relay)
        assert isinstance(routes, Routes)
        assert len(routes.routes) == 1
    assert not up.sent("transceiver-0")


def test_signaling_hears_the_numbers_again_and_again(up: Table) -> None:
    up.outputs.clear()
    up.sleep(3 * REPEAT_EVERY)
    told = [message for message in up.sent("signaling-0") if isinstance(message, Transceivers)]
    assert len(told) == 3


def test_an_acknowledgement_of_the_dead_does_not_count_for_its_successor(up: Table) -> None:
    distribution = up.core._distribution
    up.say("transceiver-0", RelaysApplied(1))
    assert not distribution.links_known(up.core._fleet)
    up.say("transceiver-1", RelaysApplied(1))
    assert distribution.links_known(up.core._fleet)
    up.die("transceiver-0")
    assert distribution.links_known(up.core._fleet)  # it is not there, and will be told
    up.ready("transceiver-0")
    assert not distribution.links_known(up.core._fleet)
    assert Endpoint("127.0.0.1", 1) not in links_of(8)
