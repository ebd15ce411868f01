"""A Global Relay in front of a cluster: sessions neither notice it nor the loss of a relay behind it."""

from __future__ import annotations

import pytest

from config.ids import ClusterId, Endpoint
from ipc.messages.sessions import CloseReason
from tests.support.network import Transit, capture
from tests.support.two_tiers import GLOBAL_LINK, INGRESS, TwoTiers, forging
from workers.relay.core.clusters import ASK, SILENCE
from workers.relay.core.ways import Neighbours
from workers.wire.types import DropReason

CLIENTS = [f"198.51.100.{host}:4000" for host in range(1, 7)]


def test_the_transceiver_sees_the_clients_own_address() -> None:
    with TwoTiers() as world:
        client = world.connected_call()
        (path,) = set(world.transceiver.paths[client.session_id])
        assert path.remote == client.outside
        world.run(1)
        assert 48 <= client.echoes.received <= 60
        # Each of the three relays knows one flow, and in the middle nobody asked for a datagram of media.
        assert len(world.relay.datapath.by_key) == 1
        ingress = world.cluster[world.serving()]
        assert len(ingress.datapath.by_key) == 1
        assert ingress.datapath.forwarded > 40


def test_clients_are_spread_and_stay() -> None:
    with TwoTiers() as world:
        clients = [world.connected_call(address) for address in CLIENTS]
        counts = [len(host.datapath.by_key) for host in world.cluster]
        assert sum(counts) == len(clients)
        assert min(counts) > 0
        world.run(10)
        assert counts == [len(host.datapath.by_key) for host in world.cluster]


@pytest.mark.parametrize("seed", range(2))
def test_a_dead_relay_costs_no_session(seed: int) -> None:
    with TwoTiers(seed) as world:
        clients = [world.connected_call(address) for address in CLIENTS]
        calm = [c for c in clients if c.outside in world.clients_of(1)]
        moved = [c for c in clients if c not in calm]
        world.kill_ingress(0)
        world.network.run(SILENCE + 2 * ASK)
        before = {c: c.echoes.received for c in clients}
        world.run(1)
        for client in clients:
            assert not client.call.failure
            assert 48 <= client.echoes.received - before[client] <= 52
        assert len(world.cluster[1].datapath.by_key) == len(clients)
        # Its clients were silent for as long as it took to notice; the others never.
        assert all(c.echoes.received > 100 for c in calm)
        assert moved
        world.run(32)
        assert not any(c.call.failure for c in clients)


def test_one_that_comes_back_gets_new_clients_and_no_old_ones() -> None:
    with TwoTiers() as world:
        clients = [world.connected_call(address) for address in CLIENTS]
        world.kill_ingress(0)
        world.run(SILENCE + 2 * ASK)
        world.cluster[0] = world.ingress_relay(0)
        world.run(10)
        assert not world.cluster[0].datapath.by_key
        clients += [world.connected_call(f"198.51.100.{host}:4000") for host in range(20, 30)]
        assert world.cluster[0].datapath.by_key
        assert not any(c.call.failure for c in clients)


def test_a_relay_that_has_forgotten_everything_is_told_again() -> None:
    with TwoTiers() as world:
        clients = [world.connected_call(address) for address in CLIENTS]
        world.restart_ingress(0)
        world.restart_ingress(1)
        world.run(0.2)  # long before their next checks
        before = [c.echoes.received for c in clients]
        world.run(1)
        assert [48 <= c.echoes.received - b <= 52 for c, b in zip(clients, before, strict=True)]
        assert not any(c.call.failure for c in clients)
        assert sum(len(host.datapath.by_key) for host in world.cluster) == len(clients)


def test_a_global_relay_that_has_forgotten_everything_heals_at_the_next_check() -> None:
    with TwoTiers() as world:
        client = world.connected_call()
        world.network.remove(world.relay)
        world.relay = world.global_relay()
        world.run(6.2)
        before = client.echoes.received
        world.run(1)
        assert 48 <= client.echoes.received - before <= 52


def test_the_end_of_a_session_is_heard_on_both_tiers() -> None:
    with TwoTiers() as world:
        client = world.connected_call()
        serving = world.cluster[world.serving()]
        world.transceiver.hang_up(client.session_id)
        world.run(0.1)
        assert world.transceiver.closed == {client.session_id: CloseReason.HANGUP}
        assert not world.relay.datapath.by_key
        assert not serving.datapath.by_key


def test_a_new_boot_of_the_transceiver_is_no_business_of_the_global_relay() -> None:
    with TwoTiers() as world:
        world.connected_call()
        world.restart_transceiver()
        assert world.connected_call("198.51.100.99:4000").echoes.received


def test_nobody_else_is_let_in() -> None:
    with TwoTiers() as world:
        world.link.filters.append(
            lambda t: forging(t) if t.source == GLOBAL_LINK and t.destination in INGRESS else [t]
        )
        client = world.call()
        world.run(5)
        assert not client.echoes.received
        dropped = [host.core.counters.upcalls_dropped for host in world.cluster]
        assert sum(counts[DropReason.UNKNOWN_PEER] for counts in dropped) > 0


def test_two_relays_that_think_each_other_global_pass_nothing_on() -> None:
    """Each says that the other has the cluster: what comes from the one never goes to the other."""
    with TwoTiers() as world:
        own = ClusterId(0)
        for n, host in enumerate(world.cluster):
            world.network.remove(host)
            there = Endpoint(f"10.0.0.{2 - n}", 7000)
            neighbours = Neighbours(
                clusters={own: (INGRESS[1 - n],)},
                globals=frozenset({GLOBAL_LINK.host, there.host}),
                own=ClusterId(5),
            )
            world.cluster[n] = world.ingress_relay(n, neighbours)
        between: list[Transit] = []
        world.link.filters.append(
            capture(
                between,
                lambda t: (
                    t.destination in INGRESS and t.source != GLOBAL_LINK and len(t.datagram) > 8
                ),
            )
        )
        client = world.call()
        world.run(5)
        assert not client.echoes.received
        assert between == []
        refused = [host.core.counters.upcalls_dropped for host in world.cluster]
        assert sum(counts[DropReason.UNKNOWN_ROUTE] for counts in refused) > 0
