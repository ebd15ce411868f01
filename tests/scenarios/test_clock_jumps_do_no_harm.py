"""A host that was suspended wakes to timers long past: they happen once, and nothing spins."""

from __future__ import annotations

from ipc.messages.sessions import CloseReason
from tests.support.world import World


def test_a_short_sleep_is_survived() -> None:
    with World() as world:
        client = world.connected_call()
        world.network.jump(12)
        world.run(7)
        before = client.echoes.received
        world.run(1)
        assert not client.call.failure
        assert client.echoes.received > before


def test_a_long_sleep_ends_sessions_and_nothing_else() -> None:
    with World() as world:
        client = world.connected_call()
        world.network.jump(100_000)
        world.run(1)
        assert client.call.failure == "the server fell silent"
        assert world.transceiver.closed == {client.session_id: CloseReason.CONSENT_EXPIRED}
        world.run(1)
        assert not world.relay.datapath.by_key
        world.connected_call("198.51.100.9:9")
