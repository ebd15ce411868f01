"""A NAT that forgets gives the client another address; the session goes on there by itself."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from tests.support.network import Transit, capture
from tests.support.world import World

NEW = "198.51.100.7:50001"
NEXT_CHECK = 6.0
OLD_PATH_SILENT = 2.0


@pytest.mark.parametrize("seed", range(5))
def test_audio_comes_back_at_the_new_address(seed: int) -> None:
    with World(seed) as world:
        client = world.connected_call()
        world.run(3)
        client.rebind(NEW)
        world.run(0.1)
        before = client.echoes.received
        world.network.run_until(
            lambda: client.echoes.received > before, within=NEXT_CHECK + OLD_PATH_SILENT + 0.5
        )
        world.run(20)
        assert not client.call.failure
        path = world.transceiver.paths[client.session_id][-1]
        assert path.remote == Endpoint.parse(NEW)


def test_nothing_is_sent_to_the_old_address_any_more() -> None:
    with World() as world:
        client = world.connected_call()
        old = client.outside
        client.rebind(NEW)
        world.run(NEXT_CHECK + OLD_PATH_SILENT + 1)
        late: list[Transit] = []
        world.wan.filters.append(capture(late, lambda t: t.destination == old and t.is_media))
        world.run(10)
        assert not late


def test_it_may_rebind_again_and_again() -> None:
    with World() as world:
        client = world.connected_call()
        for port in range(50010, 50022):
            client.rebind(f"198.51.100.7:{port}")
            world.run(NEXT_CHECK + OLD_PATH_SILENT + 1)
            before = client.echoes.received
            world.run(1)
            assert client.echoes.received > before, f"port {port}"
