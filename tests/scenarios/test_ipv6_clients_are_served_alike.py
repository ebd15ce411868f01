"""IPv6 is not a special case."""

from __future__ import annotations

from config.ids import Endpoint
from tests.support.world import PUBLIC_V6, World


def test_a_call_over_ipv6() -> None:
    with World() as world:
        client = world.connected_call("[2001:db8:7::1]:40000", frames=100)
        world.run(3)
        assert (client.echoes.sent, client.echoes.lost) == (100, 0)
        path = world.transceiver.paths[client.session_id][-1]
        assert path.local == PUBLIC_V6
        assert path.remote == Endpoint("2001:db8:7::1", 40000)
