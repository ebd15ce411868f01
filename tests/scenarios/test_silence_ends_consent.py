"""A client that is gone without a word is given up after 30 s (RFC 7675), and its flow with it."""

from __future__ import annotations

from ipc.messages.sessions import CloseReason
from tests.support.network import drop
from tests.support.world import World


def test_a_vanished_client_is_given_up() -> None:
    with World() as world:
        client = world.connected_call()
        world.run(1)
        client.vanish()
        world.run(23)
        assert not world.transceiver.closed
        world.run(8)
        assert world.transceiver.closed == {client.session_id: CloseReason.CONSENT_EXPIRED}
        assert len(world.transceiver.sessions) == 0
        assert not world.relay.datapath.by_key


def test_media_without_consent_is_not_enough() -> None:
    with World() as world:
        client = world.connected_call()
        world.wan.filters.append(drop(lambda transit: transit.is_stun))
        world.run(31)
        assert world.transceiver.closed[client.session_id] is CloseReason.CONSENT_EXPIRED


def test_a_caller_gives_up_a_silent_server() -> None:
    with World() as world:
        client = world.connected_call()
        world.wan.filters.append(drop(lambda transit: transit.destination == client.outside))
        world.run(31)
        assert client.call.failure == "the server fell silent"


def test_an_answer_that_nobody_uses_is_given_up() -> None:
    with World() as world:
        world.wan.loss = 1.0
        client = world.call()
        world.run(31)
        assert world.transceiver.closed == {client.session_id: CloseReason.CONNECT_TIMEOUT}
        assert client.call.failure.startswith("no answer to ICE checks")
