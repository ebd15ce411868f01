"""Checks from thousands of invented addresses cost bounded memory and nobody's call."""

from __future__ import annotations

from config.ids import Endpoint
from tests.support.network import Transit, capture
from tests.support.world import PUBLIC, World
from workers.relay.core.limits import NEW_PER_UFRAG


def flood(world: World, datagram: bytes, start: int, count: int) -> None:
    for number in range(start, start + count):
        source = Endpoint(
            f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000
        )
        world.network.send(world.wan, source, PUBLIC, datagram)


def captured_check(world: World) -> bytes:
    checks: list[Transit] = []
    rule = capture(checks, lambda t: t.is_stun and t.destination == PUBLIC)
    world.wan.filters.append(rule)
    world.connected_call("192.0.2.200:999")
    world.wan.filters.remove(rule)
    return checks[0].datagram


def test_signed_checks_replayed_from_everywhere() -> None:
    with World() as world:
        check = captured_check(world)
        talking = world.connected_call("198.51.100.1:4001")
        for second in range(5):
            flood(world, check, second * 3000, 3000)
            world.run(1)
        calling = world.call("198.51.100.2:4002")
        flood(world, check, 15000, 3000)
        world.network.run_until(lambda: calling.echoes.received, within=2)
        talking.stop_talking()
        world.run(1)
        assert talking.echoes.lost == 0
        assert len(world.relay.datapath.by_key) <= NEW_PER_UFRAG + 10


def test_checks_for_a_session_that_is_over_hold_no_flows() -> None:
    with World() as world:
        check = captured_check(world)
        world.clients[0].hang_up()
        talking = world.connected_call("198.51.100.1:4001")
        flood(world, check, 0, 3000)
        # Beside the flow of a living session it changes nothing either.
        world.network.send(world.wan, talking.outside, PUBLIC, check)
        world.run(0.5)
        assert world.relay.core.pending == 0
        assert len(world.relay.datapath.by_key) == 1
        talking.stop_talking()
        world.run(1)
        assert talking.echoes.lost == 0


def test_wrongly_signed_checks_make_no_flow() -> None:
    with World() as world:
        check = bytearray(captured_check(world))
        check[-10] ^= 1
        flood(world, bytes(check), 0, 10000)
        world.run(1)
        assert len(world.relay.datapath.by_key) == 1
        world.connected_call("198.51.100.2:4002")


def test_invented_ufrags_reach_no_transceiver() -> None:
    with World() as world:
        check = captured_check(world)
        records = world.transceiver.sessions.counters.records_in
        start = check.index(b"\x00\x06\x00") + 5
        for number in range(2000):
            invented = check[:start] + f"{number:022d}".encode() + check[start + 22 :]
            source = Endpoint(f"203.0.113.{number % 250 + 1}", 1024 + number)
            world.network.send(world.wan, source, PUBLIC, invented)
        for client in world.clients:
            client.vanish()
        world.run(0.5)
        assert world.transceiver.sessions.counters.records_in <= records + 10
