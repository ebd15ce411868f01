"""The relay's line to the flow cache: what the core wants written or asked waits here, and goes in one go.

One request is under way at a time; what comes meanwhile goes with the next. So a slow cache makes batches
larger, up to a bound, and nothing else slower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import trio

from config.ids import FlowKey, Route
from ipc.messages.fleet import CacheReply, CacheRequest
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout
from workers.relay.core.interface import CacheSeen, ForgetRoute, KeepRoute, LookUp, RouteFound

MOST: Final = 16_384
"""Flows that wait to be written or forgotten, and as many questions."""
BATCH: Final = 1024
ASK_EVERY: Final = 0.5
"""Seconds until the cache is asked whether it is there, if there is nothing else to ask."""
ANSWER_WITHIN: Final = 1.2
"""Seconds: a Redis has one of them (workers/fleet/redis.py)."""

Hear: TypeAlias = Callable[[Sequence[CacheSeen | RouteFound]], None]


class CacheLine:
    """To the fleet worker of this host."""

    def __init__(self, endpoint: str, hear: Hear) -> None:
        self._endpoint = endpoint
        self._hear = hear
        self._writes: dict[FlowKey, Route | None] = {}
        self._questions: dict[FlowKey, None] = {}
        self._ring = trio.Event()
        self.lost: Counter[str] = Counter()

    def take(self, word: KeepRoute | ForgetRoute | LookUp) -> None:
        """Tell it soon. Never waits; what there is no room for is counted."""
        match word:
            case LookUp(key=key):
                if len(self._questions) >= MOST:
                    self.lost["unasked"] += 1
                    return
                self._questions[key] = None
                self._ring.set()
            case KeepRoute(key=key, route=route):
                self._write(key, route)
            case ForgetRoute(key=key):
                self._write(key, None)

    def _write(self, key: FlowKey, route: Route | None) -> None:
        if key not in self._writes and len(self._writes) >= MOST:
            self.lost["unwritten"] += 1
            return
        self._writes[key] = route
        self._ring.set()

    async def serve(self) -> None:
        """For ever."""
        with RpcClient(self._endpoint) as client:
            while True:
                with trio.move_on_after(ASK_EVERY):
                    await self._ring.wait()
                self._ring = trio.Event()
                while await self._tell(client):
                    pass

    async def _tell(self, client: RpcClient) -> bool:
        """One round trip. True if there is more to tell already."""
        writes = [(key, self._writes.pop(key)) for key in list(self._writes)[:BATCH]]
        asked = list(self._questions)[:BATCH]
        for key in asked:
            del self._questions[key]
        request = CacheRequest(
            keep=tuple((pack_key(key), route) for key, route in writes if route is not None),
            forget=tuple(pack_key(key) for key, route in writes if route is None),
            find=tuple(map(pack_key, asked)),
        )
        try:
            reply = await client.call(request, ANSWER_WITHIN)
        except (RpcTimeout, RpcFailed):
            self.lost["unwritten"] += len(writes)
            reply = None
        if not isinstance(reply, CacheReply):
            self._hear([CacheSeen(False)])
            return False
        heard: list[CacheSeen | RouteFound] = [CacheSeen(reply.there, reply.generation)]
        if len(reply.routes) == len(asked):
            heard += map(RouteFound, asked, reply.routes)
        self._hear(heard)
        return bool(self._writes or self._questions)


def pack_key(key: FlowKey) -> bytes:
    """A flow's key, as it begins an INTRO (docs/wire.md)."""
    return bytes((key.transport,)) + key.client.pack() + key.local.pack()
