"""The host of a relay dies and another host gets its address: nothing is kept but what the cache knows."""

from __future__ import annotations

import pytest

from tests.support.world import RELAY_LINK_2, RelayHost, World
from workers.relay.core.interface import CacheSeen, RouteAdded


def another_host(world: World, *, cache: bool = True) -> None:
    world.relay = RelayHost(world, RELAY_LINK_2)
    world.relay.handle(RouteAdded(world.transceiver.route, world.transceiver.address))
    world.relay.handle(CacheSeen(cache, 1))


@pytest.mark.parametrize("seed", range(3))
def test_media_go_on_at_once(seed: int) -> None:
    with World(seed) as world:
        world.relay.handle(CacheSeen(True, 1))
        clients = [world.connected_call(f"198.51.100.{host}:4000") for host in range(1, 6)]
        world.run(2)
        before = [client.echoes.received for client in clients]
        another_host(world)
        world.run(1)
        for client, received in zip(clients, before, strict=True):
            assert not client.call.failure
            assert 48 <= client.echoes.received - received <= 52
        assert len(world.relay.datapath.by_key) == len(clients)


def test_without_it_they_go_on_with_the_next_check() -> None:
    with World() as world:
        client = world.connected_call()
        world.run(2)
        another_host(world, cache=False)
        world.run(8)
        assert not client.call.failure
        received = client.echoes.received
        world.run(1)
        assert 48 <= client.echoes.received - received <= 52


def test_a_session_that_has_ended_is_not_in_it_any_more() -> None:
    with World() as world:
        world.relay.handle(CacheSeen(True, 1))
        client = world.connected_call()
        assert len(world.cache) == 1
        world.transceiver.hang_up(client.session_id)
        world.run(1)
        assert not world.cache
