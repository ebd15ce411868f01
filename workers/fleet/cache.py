"""The desk where relays have flows written and ask about strangers, and signaling spends secrets."""

from __future__ import annotations

from typing import Final

import trio

from config.ids import Route
from ipc.log import Logger
from ipc.lost import Losses
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.fleet import CacheReply, CacheRequest, SecretSpent, SpendSecret
from ipc.rpc import RpcServer
from workers.fleet.core.flows import KEPT, Behind, encode_route, parse_route
from workers.fleet.redis import WITHIN, StoreFailed
from workers.fleet.registry import Registry

EVERY: Final = 0.05
"""Seconds between two batches: what is younger is lost with this process or with Redis."""

SPENT_KEPT: Final = 7200
"""Seconds that a client secret is kept which has placed its call: none lives longer."""


class CacheDesk:
    """Answers at once if Redis is away, else when it has, within what a store allows."""

    def __init__(self, registry: Registry, log: Logger, lost: Losses) -> None:
        """`lost`: where messages are counted that came to nothing."""
        self._registry = registry
        self._log = log
        self._lost = lost
        self._behind = Behind()

    @property
    def counters(self) -> dict[str, int]:
        """Totals, by what has become of flows."""
        return dict(self._behind.counters)

    @property
    def waiting(self) -> int:
        """Flows that wait to be written."""
        return len(self._behind)

    async def serve(self, endpoint: str) -> None:
        """For ever."""
        with RpcServer(endpoint, log=self._log, within=2 * WITHIN, lost=self._lost) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await server.serve(self._answer)

    async def _answer(self, request: Message) -> Message:
        if isinstance(request, SpendSecret):
            return await self._spend(request.secret)
        if not isinstance(request, CacheRequest):
            return Failure(f"{type(request).__name__} is not asked here")
        self._behind.add(request.keep, request.forget)
        routes = await self._find(request.find) if request.find else ()
        generation = self._registry.generation
        if self._registry.store is None or routes is None:
            return CacheReply(False, generation)
        return CacheReply(True, generation, routes)

    async def _spend(self, secret: str) -> SecretSpent:
        store = self._registry.store
        if store is None:
            return SecretSpent(False)
        try:
            return SecretSpent(True, await store.spend(secret, SPENT_KEPT))
        except StoreFailed:
            self._registry.hurry()
            return SecretSpent(False)

    async def _find(self, keys: tuple[bytes, ...]) -> tuple[Route | None, ...] | None:
        store = self._registry.store
        if store is None:
            return None
        try:
            values = await store.find(keys)
        except StoreFailed:
            self._registry.hurry()
            return None
        routes = tuple(map(parse_route, values))
        found = sum(route is not None for route in routes)
        self._behind.counters["found"] += found
        self._behind.counters["missed"] += len(routes) - found
        return routes

    async def _write(self) -> None:
        while True:
            await trio.sleep(EVERY)
            while (store := self._registry.store) is not None and len(self._behind):
                batch = self._behind.batch()
                try:
                    await store.write(
                        {key: route and encode_route(route) for key, route in batch.items()}, KEPT
                    )
                except StoreFailed:
                    self._behind.again(batch)
                    self._registry.hurry()
                    break
                self._behind.written(batch)
