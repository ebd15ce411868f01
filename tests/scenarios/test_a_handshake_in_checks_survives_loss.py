"""SPED through a relay: a round trip less, whatever datagram is lost, and no more than is allowed."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from tests.support.network import Transit, capture, drop, drop_nth
from tests.support.world import PUBLIC, World

ROUND_TRIP = 0.04
BOUND = 0.6


def everything(_transit: Transit) -> bool:
    return True


def test_without_loss_it_takes_three_round_trips_and_two_frames() -> None:
    with World(delay=ROUND_TRIP / 2, sped=True) as world:
        client = world.call()
        took = world.network.run_until(lambda: client.echoes.received, within=BOUND)
        # hello in a check, finished, first frame and its echo; the tick of 20 ms rounds up
        assert took <= 3 * ROUND_TRIP + 0.04


@pytest.mark.parametrize("lost", range(12))
def test_any_one_datagram_may_be_lost(lost: int) -> None:
    with World(delay=ROUND_TRIP / 2, sped=True) as world:
        world.wan.filters.append(drop_nth(lost, everything))
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=BOUND)


def test_checks_alone_make_the_connection() -> None:
    with World(delay=ROUND_TRIP / 2, sped=True) as world:
        world.wan.filters.append(drop(lambda transit: transit.is_dtls))
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=BOUND)


@pytest.mark.parametrize("seed", range(10))
def test_a_fifth_of_everything_lost_delays_but_does_not_prevent(seed: int) -> None:
    with World(seed, sped=True) as world:
        world.wan.loss = 0.2
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=10)


def test_a_check_sent_again_from_elsewhere_draws_at_most_three_times_its_size() -> None:
    with World(delay=ROUND_TRIP / 2, sped=True) as world:
        up: list[Transit] = []
        world.wan.filters.append(capture(up, lambda transit: transit.destination == PUBLIC))
        client = world.call()
        world.network.run_until(lambda: client.echoes.received, within=BOUND)
        first = up[0]
        assert first.is_stun
        elsewhere = Endpoint("203.0.113.9", 9)
        down: list[Transit] = []
        world.wan.filters.append(capture(down, lambda transit: transit.destination == elsewhere))
        world.network.send(world.wan, elsewhere, PUBLIC, first.datagram)
        world.run(5)
        assert sum(len(transit.datagram) for transit in down) <= 3 * len(first.datagram)
        before = client.echoes.received
        world.run(1)
        assert client.echoes.received > before + 40
