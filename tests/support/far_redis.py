"""A Redis that is far away: a real server behind a proxy that delivers late, in order, losing nothing."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.redis_server import RedisServer

_CHUNK = 1 << 16


class Distance:
    """The way to a server."""

    def __init__(self, port: int, delay: float) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self.delay = delay
        """Seconds that what is sent from now on takes, each way."""


@asynccontextmanager
async def far(redis: RedisServer, delay: float) -> AsyncIterator[Distance]:
    """That server, so many seconds away."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    distance = Distance(listeners[0].socket.getsockname()[1], delay)

    async def carry(near: trio.SocketStream) -> None:
        there = await trio.open_tcp_stream("127.0.0.1", redis.port)
        async with near, there, trio.open_nursery() as nursery:
            for source, sink in ((near, there), (there, near)):
                nursery.start_soon(_delay, source, sink, distance, nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, carry, listeners)
        yield distance
        nursery.cancel_scope.cancel()


async def _delay(
    source: trio.SocketStream,
    sink: trio.SocketStream,
    distance: Distance,
    connection: trio.CancelScope,
) -> None:
    """From one to the other, until either goes."""
    under_way, arriving = trio.open_memory_channel[tuple[float, bytes]](math.inf)

    async def deliver() -> None:
        async for due, data in arriving:
            await trio.sleep_until(due)
            await sink.send_all(data)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deliver)
            while data := await source.receive_some(_CHUNK):
                under_way.send_nowait((trio.current_time() + distance.delay, data))
            under_way.close()
    except* trio.BrokenResourceError:
        pass
    connection.cancel()
