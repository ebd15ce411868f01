"""Whatever the network does, every call either talks or has ended with a reason, and nothing is left."""

from __future__ import annotations

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.world import Client, World
from workers.caller.call import Stage


def weather(world: World) -> None:
    """Another network from now on."""
    random, wan = world.network.random, world.wan
    wan.delay = random.choice((0.001, 0.02, 0.15))
    wan.jitter = random.choice((0.0, 0.01, 0.1))
    wan.loss = random.choice((0.0, 0.0, 0.05, 0.3, 1.0))
    wan.duplication = random.choice((0.0, 0.1))
    wan.corruption = random.choice((0.0, 0.0, 0.02))
    world.link.loss = random.choice((0.0, 0.0, 0.01))


def mishap(world: World, clients: list[Client]) -> None:
    """One thing that operators, NATs and people do."""
    random = world.network.random
    client = random.choice(clients)
    port = random.randrange(1024, 65536)
    match random.randrange(8):
        case 0:
            world.restart_relay()
        case 1 if random.random() < 0.3:
            world.restart_transceiver()
        case 2:
            client.rebind(f"{client.outside.host}:{port}")
        case 3 if random.random() < 0.3:
            client.hang_up()
        case 4 if random.random() < 0.3:
            client.vanish()
        case 5:
            clients.append(world.call(f"198.51.100.{len(clients) + 1}:{port}"))
        case 6 if random.random() < 0.2:
            world.network.jump(random.choice((1, 8, 35)))
        case _:
            pass


@pytest.mark.parametrize("seed", range(4))
def test_two_stormy_minutes(seed: int) -> None:
    with World(seed) as world:
        clients = [world.call(f"198.51.100.{host}:4000") for host in range(1, 4)]
        for _ in range(30):
            weather(world)
            mishap(world, clients)
            world.run(world.network.random.uniform(0.1, 8))
        world.wan.delay, world.wan.jitter, world.wan.loss = 0.02, 0.0, 0.0
        world.wan.duplication = world.wan.corruption = world.link.loss = 0.0
        world.run(60)
        before = {client.number: client.echoes.received for client in clients}
        world.run(5)
        for client in clients:
            talks = client.echoes.received > before[client.number]
            assert talks or client.call.stage is Stage.OVER, client.outside
            assert client.echoes.duplicates == 0
            assert client.echoes.foreign == 0
        for transceiver in world.transceivers:
            assert CloseReason.INTERNAL_ERROR not in transceiver.closed.values()
        talking = [client for client in clients if client.call.stage is not Stage.OVER]
        assert len(world.transceiver.sessions) == len(talking)
        for client in talking:
            client.hang_up()
        world.run(70)
        assert len(world.transceiver.sessions) == 0
        assert not world.relay.datapath.by_key
        assert world.relay.core.pending == 0
