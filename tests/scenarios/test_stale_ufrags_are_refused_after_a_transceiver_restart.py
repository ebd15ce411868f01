"""A boot of a transceiver is part of the route: clients of the one before reach nobody."""

from __future__ import annotations

from tests.support.network import Transit, capture
from tests.support.world import World


def test_old_clients_reach_nobody_and_new_ones_talk() -> None:
    with World() as world:
        old = world.connected_call("198.51.100.1:4001")
        world.restart_transceiver()
        on_link: list[Transit] = []
        world.link.filters.append(
            capture(on_link, lambda t: t.destination == world.transceiver.address)
        )
        world.run(0.1)
        before = old.echoes.received
        world.run(10)
        assert old.echoes.received == before
        assert not on_link
        assert not world.relay.datapath.by_key
        new = world.connected_call("198.51.100.2:4002")
        world.run(1)
        assert not new.call.failure
        world.run(20)
        assert old.call.failure == "the server fell silent"


def test_an_answer_of_the_boot_before_leads_nowhere() -> None:
    with World() as world:
        world.wan.loss = 1.0
        client = world.call()
        world.restart_transceiver()
        world.wan.loss = 0.0
        world.run(31)
        assert client.call.failure.startswith("no answer to ICE checks")
        assert world.transceiver.sessions.counters.records_in == 0
