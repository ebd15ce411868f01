"""Another network, the same credentials: the first check from there brings media along."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from tests.support.world import World


@pytest.mark.parametrize("delay", [0.005, 0.05, 0.2])
def test_media_moves_within_one_check(delay: float) -> None:
    with World(delay=delay) as world:
        client = world.connected_call()
        world.run(3)
        for port in range(50_001, 50_006):
            address = f"203.0.113.9:{port}"
            client.rebind(address)
            client.notice_network()
            took = world.network.run_until(
                lambda address=address: (  # type: ignore[misc]
                    world.transceiver.paths[client.session_id][-1].remote == Endpoint.parse(address)
                ),
                within=5,
            )
            # The check and its answer, and ours, which proves the address: a round trip and a half.
            assert took <= 3 * delay + 0.05
            before = client.echoes.received
            world.run(1.0 + 2 * delay)
            assert client.echoes.received - before >= 40
        assert not client.call.failure


def test_a_lost_check_is_repeated_at_once_and_not_after_a_consent_interval() -> None:
    with World() as world:
        client = world.connected_call()
        world.run(3)
        client.rebind("203.0.113.9:50001")
        world.wan.loss = 1.0
        client.notice_network()
        world.run(0.25)
        world.wan.loss = 0.0
        before = client.echoes.received
        world.network.run_until(lambda: client.echoes.received > before, within=1.0)
