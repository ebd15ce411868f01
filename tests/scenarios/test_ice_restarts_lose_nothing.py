"""An ICE restart under live media, through a relay: nothing is lost, and the old credentials end."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from tests.support.network import Transit, capture
from tests.support.world import Client, World

NEW = "203.0.113.9:50001"


def finish(world: World, client: Client) -> None:
    """The last frames come back."""
    client.stop_talking()
    world.run(1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("address", ["198.51.100.7:40000", "[2001:db8::7]:40000"])
def test_not_one_frame_is_lost(seed: int, address: str) -> None:
    with World(seed) as world:
        client = world.connected_call(address)
        for _ in range(5):
            client.restart()
            world.run(1.0)
        finish(world, client)
        assert client.echoes.lost == 0
        assert client.echoes.sent > 200
        assert client.call.report(0.0).restarts == 5
        assert not client.call.failure


def test_dtls_is_not_done_again() -> None:
    with World() as world:
        client = world.connected_call()
        world.run(1.0)
        seen: list[Transit] = []
        world.wan.filters.append(capture(seen, lambda t: t.is_dtls))
        client.restart()
        world.run(5.0)
        assert not seen
        assert client.call.report(0.0).restarts == 1


def test_old_checks_are_worth_nothing_after_it() -> None:
    """Captured before the restart, sent again from elsewhere: no answer, and media stays."""
    with World() as world:
        client = world.connected_call()
        old: list[Transit] = []
        world.wan.filters.append(capture(old, lambda t: t.is_stun and t.source == client.outside))
        world.run(8.0)
        assert old
        client.restart()
        world.run(1.0)
        attacker = Endpoint.parse("203.0.113.66:6666")
        answers: list[Transit] = []
        world.network.listen("wan", attacker, answers.append)
        for transit in old[:20]:
            world.network.send(world.wan, attacker, transit.destination, transit.datagram)
        world.run(2.0)
        assert not answers
        finish(world, client)
        assert client.echoes.lost == 0


def test_a_restart_finds_a_client_that_has_moved() -> None:
    with World() as world:
        client = world.connected_call()
        world.run(2)
        client.rebind(NEW)
        client.restart()
        took = world.network.run_until(
            lambda: world.transceiver.paths[client.session_id][-1].remote == Endpoint.parse(NEW),
            within=5,
        )
        assert took < 0.05 + 8 * world.wan.delay
        before = client.echoes.received
        world.run(1.0)
        assert client.echoes.received - before >= 45


def test_restarts_that_nobody_follows_up_change_nothing() -> None:
    """The answer is lost on its way to the client, again and again."""
    with World() as world:
        client = world.connected_call()
        for _ in range(10):
            client.restart(http=1e6)
            world.run(2.0)
        finish(world, client)
        assert client.echoes.lost == 0


def test_a_lossy_network_costs_frames_only() -> None:
    with World(7) as world:
        client = world.connected_call()
        world.wan.loss = 0.2
        for _ in range(5):
            client.restart()
            world.run(3.0)
        world.wan.loss = 0.0
        world.run(5.0)
        assert client.call.report(0.0).restarts == 5
        assert not client.call.failure
