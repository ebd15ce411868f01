"""Whoever hangs up, the other end is told, the session is gone and the relay forgets the flow."""

from __future__ import annotations

from ipc.messages.sessions import CloseReason
from tests.support.network import Transit, capture
from tests.support.world import World


def test_by_the_server() -> None:
    with World() as world:
        client = world.connected_call()
        world.transceiver.hang_up(client.session_id)
        world.run(0.1)
        assert client.call.failure == "the server ended the call early"
        assert world.transceiver.closed == {client.session_id: CloseReason.HANGUP}
        assert len(world.transceiver.sessions) == 0
        assert not world.relay.datapath.by_key


def test_by_the_client() -> None:
    with World() as world:
        client = world.connected_call()
        client.hang_up()
        world.run(0.1)
        assert world.transceiver.closed == {client.session_id: CloseReason.PEER_CLOSED}
        assert not world.relay.datapath.by_key


def test_a_client_that_did_not_hear_it_reaches_nobody() -> None:
    with World() as world:
        client = world.connected_call()
        world.wan.loss = 1.0
        world.transceiver.hang_up(client.session_id)
        world.run(0.1)
        world.wan.loss = 0.0
        on_link: list[Transit] = []
        world.link.filters.append(
            capture(on_link, lambda t: t.destination == world.transceiver.address)
        )
        world.run(4)
        assert len(on_link) <= 2
