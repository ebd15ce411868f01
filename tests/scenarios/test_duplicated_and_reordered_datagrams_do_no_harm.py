"""Networks repeat and overtake. Neither may cost a session, or bring a frame twice."""

from __future__ import annotations

import pytest

from tests.support.world import World


@pytest.mark.parametrize("seed", range(5))
def test_every_frame_comes_back_exactly_once(seed: int) -> None:
    with World(seed) as world:
        world.wan.jitter, world.wan.duplication = 0.05, 0.3
        world.link.duplication = 0.1
        client = world.connected_call(frames=500)
        world.run(12)
        assert not client.call.failure
        assert (client.echoes.sent, client.echoes.lost) == (500, 0)
        assert client.echoes.duplicates == 0
        assert client.echoes.reordered > 0
