"""A relay may lose everything it knows: each flow comes back with its client's next check."""

from __future__ import annotations

import pytest

from tests.support.world import World

NEXT_CHECK = 6.0


@pytest.mark.parametrize("seed", range(3))
def test_every_session_goes_on(seed: int) -> None:
    with World(seed) as world:
        clients = [world.connected_call(f"198.51.100.{host}:4000") for host in range(1, 6)]
        world.run(2)
        world.restart_relay()
        assert not world.relay.datapath.by_key
        world.run(NEXT_CHECK + 0.2)
        assert len(world.relay.datapath.by_key) == len(clients)
        before = [client.echoes.received for client in clients]
        world.run(1)
        for client, received in zip(clients, before, strict=True):
            assert not client.call.failure
            assert 48 <= client.echoes.received - received <= 52


def test_in_the_middle_of_a_handshake_too() -> None:
    for moment in range(1, 14):
        with World() as world:
            client = world.call()
            world.run(moment / 100)
            world.restart_relay()
            world.network.run_until(lambda: client.echoes.received, within=NEXT_CHECK + 1)  # noqa: B023
