"""NATs and browsers use a port again: the newest session that proves itself there gets its traffic."""

from __future__ import annotations

from tests.support.world import World

ADDRESS = "198.51.100.7:40000"


def test_the_second_takes_over_where_the_first_has_vanished() -> None:
    with World() as world:
        first = world.connected_call(ADDRESS)
        world.run(1)
        first.vanish()
        second = world.connected_call(ADDRESS)
        world.run(5)
        assert not second.call.failure
        second.stop_talking()
        world.run(1)
        assert second.echoes.lost == 0
        assert second.echoes.foreign == 0
        assert len(world.relay.datapath.by_key) == 1


def test_also_after_the_first_has_hung_up() -> None:
    with World() as world:
        for _ in range(5):
            client = world.connected_call(ADDRESS)
            client.hang_up()
            world.run(0.5)
        assert not world.relay.datapath.by_key
        assert len(world.transceiver.closed) == 5
