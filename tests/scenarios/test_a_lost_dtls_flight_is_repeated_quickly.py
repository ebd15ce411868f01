"""OpenSSL waits a second before it repeats a flight; we repeat it ourselves, well before that."""

from __future__ import annotations

import pytest

from tests.support.network import drop_nth
from tests.support.world import World

ROUND_TRIP = 0.04
BOUND = 0.6


@pytest.mark.parametrize("lost", range(8))
def test_any_one_dtls_datagram_may_be_lost(lost: int) -> None:
    with World(delay=ROUND_TRIP / 2) as world:
        world.wan.filters.append(drop_nth(lost, lambda transit: transit.is_dtls))
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=BOUND)


@pytest.mark.parametrize("lost", range(4))
def test_any_one_check_may_be_lost(lost: int) -> None:
    with World(delay=ROUND_TRIP / 2) as world:
        world.wan.filters.append(drop_nth(lost, lambda transit: transit.is_stun))
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=BOUND)


def test_without_loss_it_takes_four_round_trips_and_two_frames() -> None:
    with World(delay=ROUND_TRIP / 2) as world:
        client = world.call()
        took = world.network.run_until(lambda: client.echoes.received, within=BOUND)
        # check, hello, finished, first frame and its echo; the tick of 20 ms rounds up
        assert took <= 4 * ROUND_TRIP + 0.04


@pytest.mark.parametrize("seed", range(10))
def test_a_fifth_of_everything_lost_delays_but_does_not_prevent(seed: int) -> None:
    with World(seed) as world:
        world.wan.loss = 0.2
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=10)
