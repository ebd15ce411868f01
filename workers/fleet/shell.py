"""The fleet worker's tasks: it speaks with the other hosts, so that nobody else has to wait for them."""

from __future__ import annotations

import math
import time
from typing import Final

import trio

from config.ids import HostId, TransceiverId
from ipc.messages.fleet import Announce, FleetHost, FleetView, IdsLeased
from ipc.messages.lifecycle import Ready, cache_endpoint
from ipc.messages.stats import FleetStats
from workers.fleet.cache import CacheDesk
from workers.fleet.core.health import Health
from workers.fleet.core.hosts import STALE, Hosts, Way, lasting
from workers.fleet.core.lease import Lease
from workers.fleet.core.notice import Beat
from workers.fleet.core.own import Own
from workers.fleet.peers import BEAT, Peers, open_peers
from workers.fleet.registry import Registry
from workers.worker import Worker

TELL_EVERY: Final = 1.0
"""Seconds until the supervisor is told again though only numbers of sessions have changed."""
KEEP_EVERY: Final = 600.0
"""Seconds until it is told again which numbers are ours: it writes that down."""


class FleetShell:
    """Between the supervisor, the peers and Redis."""

    def __init__(self, worker: Worker, host: HostId) -> None:
        config = worker.config
        # A clock that has gone back since the last process does no harm: then this one is just another.
        incarnation = time.time_ns()
        self._worker = worker
        self._own = Own(incarnation)
        self._hosts = Hosts(host, incarnation)
        self._lease = Lease(config.transceiver.first_id)
        self._health = Health(int(host, 16) % 1000 / 1000, trio.current_time())
        self._ways = [Way.PEER] if config.fleet.listen else []
        self._ways += [Way.REDIS] if config.redis.url else []
        self._registry = Registry(
            config.redis,
            self._own,
            self._hosts,
            self._lease,
            self._health,
            worker.log,
            generation=incarnation,
            everywhere=config.fleet.everywhere,
            leased=self._take_numbers,
            heard=self._look,
        )
        self._numbers: tuple[TransceiverId, ...] = ()
        self._numbers_told = -math.inf
        self._seen: tuple[FleetHost, ...] = ()
        self._cache = CacheDesk(self._registry, worker.log, worker.lost)
        self._directory = worker.assignment.runtime_directory
        self._recalled = trio.Event()
        self._news = trio.Event()
        self._speak = trio.Event()

    async def run(self) -> None:
        """For ever."""
        config = self._worker.config
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._tell)
            if config.redis.url:
                nursery.start_soon(self._registry.keep)
                nursery.start_soon(self._cache.serve, cache_endpoint(self._directory))
            if config.fleet.listen:
                with open_peers(config.fleet.listen, config.fleet.peers) as peers:
                    nursery.start_soon(peers.listen, self._hear_peer, self._refuse)
                    nursery.start_soon(self._announce, peers)
                    await self._serve()
            else:
                await self._serve()
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        await self._worker.ready(Ready())
        await self._worker.draining.wait()

    def stats(self) -> FleetStats:
        """A snapshot."""
        view = self._hosts.view()
        return FleetStats(
            worker=self._worker.assignment.name,
            usage=self._worker.usage(),
            hosts=len(view),
            fresh=sum(host.fresh for host in view),
            redis=self._health.text(trio.current_time()) if self._worker.config.redis.url else "",
            failures=dict(self._health.failures),
            cache=self._cache.counters,
            cache_waiting=self._cache.waiting,
            refused=dict(self._hosts.refused),
        )

    async def _follow(self) -> None:
        async for command in self._worker.commands:
            if isinstance(command, Announce):
                self._lease.want(command.wanted, command.ids, trio.current_time())
                if self._own.describe(command.own):
                    self._speak.set()
                    self._registry.hurry()
            elif isinstance(command, FleetView):
                self._hosts.recall(command.hosts, self._ways)
                self._recalled.set()
                self._look()

    async def _announce(self, peers: Peers) -> None:
        last = trio.current_time()
        while True:
            self._speak = trio.Event()
            beat, host = self._own.beat(), self._own.host
            if beat is not None and host is not None:
                await peers.announce(beat, host)
            with trio.move_on_after(BEAT):
                await self._speak.wait()
            now = trio.current_time()
            # Had this process stood still, it would not have heard either.
            self._hosts.pass_time(Way.PEER, min(now - last, STALE))
            last = now
            self._look()

    def _hear_peer(self, beat: Beat, host: FleetHost) -> None:
        if self._hosts.wants(beat, Way.PEER):
            self._hosts.learn(beat, host, Way.PEER)
        self._look()

    def _refuse(self, why: str) -> None:
        self._hosts.refused[why] += 1

    def _take_numbers(self, ids: tuple[TransceiverId, ...]) -> None:
        if ids != self._numbers:
            self._worker.log.info("numbers leased", ids=list(ids))
            self._numbers, self._numbers_told = ids, -math.inf
        self._news.set()

    def _look(self) -> None:
        """Is there anything that the supervisor should hear now?"""
        seen = lasting(self._hosts.view())
        if seen != self._seen:
            self._seen = seen
            self._news.set()

    async def _tell(self) -> None:
        await self._recalled.wait()  # or we would take away what an earlier process had found
        while True:
            with trio.move_on_after(TELL_EVERY):
                await self._news.wait()
            self._news = trio.Event()
            await self._worker.send(FleetView(self._hosts.view()))
            now = trio.current_time()
            if self._numbers and now - self._numbers_told >= KEEP_EVERY:
                self._numbers_told = now
                await self._worker.send(IdsLeased(self._numbers))


async def serve(worker: Worker) -> None:
    """Keep this host known to the others, and the others to it, until drained."""
    shell = FleetShell(worker, worker.assignment.host)
    worker.set_stats(shell.stats)
    await shell.run()
