"""The kernel may hand a client to another relay worker: media go on, without waiting for a check."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from tests.support.world import PUBLIC, RELAY_LINK_2, World


@pytest.mark.parametrize("seed", range(3))
def test_media_go_on_at_once(seed: int) -> None:
    with World(seed) as world:
        clients = [world.connected_call(f"198.51.100.{host}:4000") for host in range(1, 6)]
        world.run(2)
        before = [client.echoes.received for client in clients]
        world.steer_to_sibling()
        world.run(1)
        for client, received in zip(clients, before, strict=True):
            assert not client.call.failure
            assert 48 <= client.echoes.received - received <= 52
        assert len(world.relay.datapath.by_key) == len(clients)
        # The way back has moved, too.
        assert world.relay.datapath.returned > 40 * len(clients)


def test_there_and_back_again() -> None:
    with World() as world:
        client = world.connected_call()
        for _ in range(4):
            world.steer_to_sibling()
            world.run(1)
            world.steer_back()
            world.run(1)
        received = client.echoes.received
        world.run(1)
        assert 48 <= client.echoes.received - received <= 52


def test_a_session_that_ended_meanwhile_is_not_brought_back() -> None:
    with World() as world:
        client = world.connected_call()
        old = world.relay.datapath
        flow = dict(old.by_key)
        world.transceiver.hang_up(client.session_id)
        world.run(0.1)
        old.by_key.update(flow)  # the FORGET was lost
        world.steer_to_sibling()
        for _ in range(50):
            world.network.send(world.wan, client.outside, PUBLIC, b"\x80\x6f" + bytes(40))
            world.run(0.02)
        relay = world.relay
        assert not relay.datapath.by_key
        assert relay.core.pending == relay.core.assured == 0
        assert relay.core.counters.introduced == 1  # then there was a tombstone


def test_a_stranger_with_a_known_address_gains_nothing() -> None:
    """Media that no session accepts never make a flow, nor do they move one."""
    with World() as world:
        client = world.connected_call()
        old, spoofed = world.relay, Endpoint(*client.outside)
        client.vanish()
        world.run(0.1)
        world.steer_to_sibling()
        for _ in range(50):
            world.network.send(world.wan, spoofed, PUBLIC, b"\x80\x6f" + bytes(40))
            world.run(0.02)
        assert not world.relay.datapath.by_key
        assert world.relay.link == RELAY_LINK_2
        assert len(old.datapath.by_key) == 1
