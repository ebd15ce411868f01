"""Several real servers: a Sentinel that watches some, and a Cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from tests.support.redis_server import BUS, REDIS, UP_WITHIN, RedisServer, redis_server


@asynccontextmanager
async def watching(
    directory: Path, primary: RedisServer, *replicas: RedisServer
) -> AsyncIterator[str]:
    """A Sentinel that has found all of them, and replaces a primary that is silent for a second."""
    with redis_server("redis-sentinel") as watcher:
        file = directory / "sentinel.conf"
        file.write_text(
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 1000\n"
        )
        watcher.launch(config=file)
        await watcher.until_up()
        for replica in replicas:
            await _until_all_say([watcher], b"%d" % replica.port, "SENTINEL", "REPLICAS", "main")
        yield f"redis+sentinel://127.0.0.1:{watcher.port}/main"


@asynccontextmanager
async def members(
    primaries: int, replicas: int = 0, program: str = REDIS
) -> AsyncIterator[tuple[str, list[RedisServer]]]:
    """A Cluster of so many, each with so many replicas, which miss it after two seconds."""
    async with AsyncExitStack() as stack:
        count = primaries * (1 + replicas)
        nodes = [stack.enter_context(redis_server(program)) for _ in range(count)]
        for node in nodes:
            options = {
                "enabled": "yes",
                "port": node.port + BUS,
                "node-timeout": 2000 if replicas else 15_000,
            }
            await node.start(
                [word for key in options for word in (f"--cluster-{key}", str(options[key]))]
            )
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        make = ["redis-cli", "--cluster", "create", *places, "--cluster-yes"]
        await trio.run_process([*make, "--cluster-replicas", str(replicas)], capture_stdout=True)
        await _until_all_say(nodes, b"cluster_state:ok", "CLUSTER", "INFO")
        for node in nodes:
            if b"role:slave" in node.ask("INFO", "replication"):
                await in_step(node)
        yield f"redis+cluster://{','.join(places)}", nodes


async def in_step(replica: RedisServer) -> None:
    """Wait until it has what its primary has."""
    await _until_all_say([replica], b"master_link_status:up", "INFO", "replication")


async def _until_all_say(servers: Sequence[RedisServer], what: bytes, *question: str) -> None:
    with trio.fail_after(UP_WITHIN):
        while not all(what in server.ask(*question) for server in servers):
            await trio.sleep(0.05)
