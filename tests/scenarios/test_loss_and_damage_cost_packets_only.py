"""What is lost is lost, what is damaged is dropped; nothing else happens."""

from __future__ import annotations

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.world import World


@pytest.mark.parametrize("seed", range(5))
def test_damaged_datagrams_are_lost_ones(seed: int) -> None:
    with World(seed) as world:
        client = world.connected_call(frames=1000)
        world.wan.loss, world.wan.corruption = 0.02, 0.05
        world.run(25)
        assert not client.call.failure
        assert client.echoes.foreign == 0
        # two crossings of a network that takes 7 % each
        assert 0.07 < client.echoes.lost / client.echoes.sent < 0.20


@pytest.mark.parametrize("seed", range(10))
def test_damage_during_set_up_costs_that_call_at_most(seed: int) -> None:
    """UDP's checksum keeps damage out; what passes it in a handshake is an attack, and ends it."""
    with World(seed) as world:
        other = world.connected_call("198.51.100.2:4002")
        world.wan.corruption = 0.2
        client = world.call()
        world.network.run_until(lambda: client.echoes.received or client.call.failure, within=10)
        world.wan.corruption = 0
        world.run(1)
        if client.call.failure:
            # Its last word may have been damaged too: then the server still waits.
            assert world.transceiver.closed.get(client.session_id) in {
                None,
                CloseReason.DTLS_FAILED,
                CloseReason.FINGERPRINT_MISMATCH,
                CloseReason.PEER_CLOSED,
            }
        before = other.echoes.received
        world.run(1)
        assert other.echoes.received - before >= 48
