"""A real Redis, and a way to it that can be cut, or lead to somebody who says nonsense."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from itertools import cycle
from typing import Final

import trio

from tests.support.redis_server import RedisServer, redis_server

NONSENSE: Final = (
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*3\r\n:1\r\n",
    b"$-9\r\n",
    b"%1\r\n+a\r\n:3\r\n",
    bytes(range(256)),
)
_PART: Final = 65_536


class Way(Enum):
    """Where connections lead."""

    OPEN = "to Redis"
    CUT = "nowhere, and nobody says so"
    NONSENSE = "to somebody who is no Redis"


class Registry:
    """Clients connect to `url`."""

    def __init__(self, server: RedisServer, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self.way = Way.OPEN
        self._server = server
        self._healed = trio.Event()
        self._nonsense = cycle(NONSENSE)

    async def kill(self, seconds: float) -> None:
        """It is gone with all that was in it; after so many seconds there is an empty one."""
        self._server.kill()
        await trio.sleep(seconds)
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """It stands still."""
        self._server.signal(signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            self._server.signal(signal.SIGCONT)

    async def lead(self, way: Way, seconds: float) -> None:
        """Connections lead there for a while, old ones, too."""
        self.way, self._healed = way, trio.Event()
        await trio.sleep(seconds)
        self.way = Way.OPEN
        self._healed.set()

    async def _serve(self, client: trio.SocketStream) -> None:
        with suppress(OSError, trio.BrokenResourceError):
            async with (
                client,
                await trio.open_tcp_stream("127.0.0.1", self._server.port) as redis,
                trio.open_nursery() as both,
            ):
                both.start_soon(self._pass, client, redis, both.cancel_scope)
                both.start_soon(self._pass, redis, client, both.cancel_scope)

    async def _pass(
        self, source: trio.SocketStream, target: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while part := await source.receive_some(_PART):
                if self.way is Way.NONSENSE:
                    # Whoever has said something gets an answer, which is none.
                    await source.send_all(next(self._nonsense))
                    continue
                if self.way is Way.CUT:
                    await self._healed.wait()  # TCP brings it when the way is there again
                await target.send_all(part)
        both.cancel()


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """One that answers, ended behind you."""
    with redis_server() as server:
        await server.start()
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            found = Registry(server, listener.socket.getsockname()[1])
            nursery.start_soon(trio.serve_listeners, found._serve, [listener])
            yield found
            nursery.cancel_scope.cancel()
