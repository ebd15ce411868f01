"""Bytes that mean nothing are counted and dropped, from strangers and from a live client's address."""

from __future__ import annotations

from config.ids import Endpoint
from tests.support.world import PUBLIC, World


def garbage(world: World, count: int) -> list[bytes]:
    random = world.network.random
    firsts = (0, 1, 22, 23, 64, 128, 144, 200, 255)
    return [
        bytes((random.choice(firsts),)) + random.randbytes(random.randrange(1400))
        for _ in range(count)
    ]


def test_from_strangers() -> None:
    with World() as world:
        client = world.connected_call()
        lost = client.echoes.lost - client.echoes.outstanding
        for second in range(3):
            for number, datagram in enumerate(garbage(world, 500)):
                stranger = Endpoint(f"203.0.113.{number % 250 + 1}", 1000 + number)
                world.network.send(world.wan, stranger, PUBLIC, datagram)
            world.run(1)
            assert client.echoes.lost - client.echoes.outstanding == lost, f"second {second}"
        assert len(world.relay.datapath.by_key) == 1
        assert not client.call.failure


def test_from_the_address_of_a_live_client() -> None:
    with World() as world:
        client = world.connected_call()
        for _ in range(20):
            for datagram in garbage(world, 50):
                world.network.send(world.wan, client.outside, PUBLIC, datagram)
            world.run(0.1)
        client.stop_talking()
        world.run(1)
        assert not client.call.failure
        assert client.echoes.lost == 0


def test_during_the_handshake() -> None:
    with World() as world:
        client = world.call()
        for _ in range(40):
            for datagram in garbage(world, 10):
                world.network.send(world.wan, client.outside, PUBLIC, datagram)
            world.run(0.01)
        world.network.run_until(lambda: client.echoes.received or client.call.failure, within=5)
        assert not client.call.failure


def test_empty_and_oversized() -> None:
    with World() as world:
        client = world.connected_call()
        for datagram in (b"", b"\x80", bytes(2049), b"\x80" * 9000, b"\x16" * 2048):
            world.network.send(world.wan, client.outside, PUBLIC, datagram)
            world.network.send(world.wan, Endpoint("203.0.113.9", 9), PUBLIC, datagram)
        world.run(1)
        assert not client.call.failure
