"""A signed check proves the password and not the address: sent again from elsewhere it moves nothing."""

from __future__ import annotations

from config.ids import Endpoint
from tests.support.network import Transit, capture
from tests.support.world import PUBLIC, World

ATTACKER = Endpoint("203.0.113.66", 6666)


def test_media_stays_and_the_victim_gets_little() -> None:
    with World() as world:
        checks: list[Transit] = []
        world.wan.filters.append(capture(checks, lambda t: t.is_stun and t.destination == PUBLIC))
        client = world.connected_call()
        to_attacker: list[Transit] = []
        world.wan.filters.append(capture(to_attacker, lambda t: t.destination == ATTACKER))
        sent = 0
        for _ in range(10):
            for check in list(checks[:5]):
                world.network.send(world.wan, ATTACKER, PUBLIC, check.datagram)
                sent += len(check.datagram)
            world.run(1)
        client.stop_talking()
        world.run(1)
        assert not client.call.failure
        assert client.echoes.lost == 0
        assert not [transit for transit in to_attacker if transit.is_media or transit.is_dtls]
        assert sum(len(transit.datagram) for transit in to_attacker) <= 3 * sent
        remotes = {path.remote for path in world.transceiver.paths[client.session_id]}
        assert remotes == {client.outside}


def test_it_does_not_keep_a_dead_session_alive() -> None:
    with World() as world:
        checks: list[Transit] = []
        world.wan.filters.append(capture(checks, lambda t: t.is_stun and t.destination == PUBLIC))
        client = world.connected_call()
        client.vanish()
        for _ in range(40):
            world.network.send(world.wan, ATTACKER, PUBLIC, checks[-1].datagram)
            world.run(1)
        assert client.session_id in world.transceiver.closed
