"""This host in Redis, and the others from there: a beat twice a second, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from config.ids import ClusterId, HostId, TransceiverId
from config.model import RedisSection
from config.redis_url import parse_redis_url
from ipc.log import Logger
from workers.fleet.core.health import Health
from workers.fleet.core.hosts import Hosts, Way
from workers.fleet.core.lease import Lease
from workers.fleet.core.notice import (
    Beat,
    Unbelievable,
    encode_beat,
    encode_host,
    parse_host,
    parse_notice,
)
from workers.fleet.core.own import Own
from workers.fleet.redis import Store, StoreFailed, open_store

BEAT: Final = 0.5
"""Seconds between two beats: news is everywhere within one and a round trip."""
EVERYWHERE: Final = 2.0
"""Seconds between two looks at the other clusters."""


class Registry:
    """Keeps both in step, as long as Redis lets it."""

    def __init__(
        self,
        section: RedisSection,
        own: Own,
        hosts: Hosts,
        lease: Lease,
        health: Health,
        log: Logger,
        *,
        generation: int,
        everywhere: bool,
        leased: Callable[[tuple[TransceiverId, ...]], None],
        heard: Callable[[], None],
    ) -> None:
        self._section = section
        self._own = own
        self._hosts = hosts
        self._lease = lease
        self._health = health
        self._log = log
        self._everywhere = everywhere
        self._leased = leased
        self._heard = heard
        self._told = 0
        """Version of what others can read of us."""
        self._last: float | None = None
        self._hurry = trio.Event()
        self.store: Store | None = None
        """Open and reached, as far as is known. Whomever it fails calls `hurry`: it is over."""
        self.generation = generation
        """Another one after Redis was found to have lost what was in it."""

    def hurry(self) -> None:
        """There is news, or the store has failed somebody: do not wait for the next beat."""
        self._hurry.set()

    async def keep(self) -> None:
        """For ever, whatever becomes of Redis."""
        place = parse_redis_url(self._section.url)
        while True:
            try:
                async with (
                    open_store(place, self._password(), self._section.prefix) as store,
                    trio.open_nursery() as nursery,
                ):
                    if self._everywhere:
                        nursery.start_soon(self._look_around, store)
                    nursery.start_soon(self._beat, store)
            except StoreFailed as failure:
                self._failed(failure)
            await trio.sleep(self._health.delay)

    def _password(self) -> str:
        if not self._section.password_file:
            return ""
        try:
            return Path(self._section.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreFailed("password_file", str(error)) from None

    async def _beat(self, store: Store) -> None:
        while True:
            self._hurry = trio.Event()
            if not await self._round(store):
                with trio.move_on_after(BEAT):
                    await self._hurry.wait()

    def _failed(self, failure: StoreFailed) -> None:
        self.store = None
        self._told = 0  # a member of a Cluster may have lost what the others keep
        if self._health.failed(str(failure), failure.detail, trio.current_time()):
            self._log.warning("redis is away", reason=str(failure), why=failure.detail)

    async def _round(self, store: Store) -> bool:
        """One beat and what follows from it. True if the next one should not wait."""
        beat, host = self._own.beat(), self._own.host
        if beat is None or host is None:
            return False
        start = trio.current_time()
        what, news = encode_host(host), self._told != beat.version
        beats, known, kept = await store.beat(
            host.cluster, host.host, encode_beat(beat), what if news else None
        )
        now = trio.current_time()
        if self._health.succeeded(now - start, now):
            self._log.info("redis is reached")
        self.store = store
        self._told = beat.version
        if not known or kept is None:
            self.generation += 1
            self._lease.lost(now)
        # A beat by itself proves nothing: one of a connection that we have given up may come as late as it
        # likes, also after the others have taken us out. So does what we were.
        if kept != what:
            self._own.again()
        await self._ask_for_numbers(store, host.cluster, host.host)
        await self._hear(store, host.cluster, beats)
        # Only what could be heard is silence: not the time when nobody answered.
        since = now if self._last is None else self._last
        self._hosts.pass_time(Way.REDIS, min(now - since, 2 * BEAT))
        self._last = now
        self._heard()
        return kept != what and not news

    async def _look_around(self, store: Store) -> None:
        """At other clusters: for as long as that takes, it holds up no beat."""
        while True:
            host = self._own.host
            if host is not None:
                others = [each for each in await store.clusters() if each != host.cluster]
                for cluster, beats in zip(others, await store.beats(others), strict=True):
                    await self._hear(store, cluster, beats)
            await trio.sleep(EVERYWHERE)

    async def _hear(self, store: Store, cluster: ClusterId, beats: Mapping[HostId, bytes]) -> None:
        """Believe those who live, and take out who does not: perhaps nobody of their cluster is left."""
        heard: dict[HostId, Beat] = {}
        for name, data in beats.items():
            try:
                beat, _ = parse_notice(data)
            except Unbelievable as why:
                self._hosts.refused[str(why)] += 1
                continue
            if beat.host == name:
                heard[name] = beat
        wanted = {n: beat for n, beat in heard.items() if self._hosts.wants(beat, Way.REDIS)}
        found = await store.hosts(cluster, list(wanted)) if wanted else {}
        for name, data in found.items():
            self._learn(cluster, wanted[name], data)
        # A beat of which nobody says what it stands for is what is left of one that is gone, or makes it
        # notice if it lives.
        gone = [*self._hosts.gone(cluster, heard), *(wanted.keys() - found.keys())]
        if gone:
            await store.forget(cluster, {name: beats[name] for name in gone})

    def _learn(self, cluster: ClusterId, beat: Beat, data: bytes) -> None:
        try:
            host = parse_host(beat.host, data)
        except Unbelievable as why:
            self._hosts.refused[str(why)] += 1
            return
        if host.cluster == cluster:
            self._hosts.learn(beat, host, Way.REDIS)

    async def _ask_for_numbers(self, store: Store, cluster: ClusterId, own: HostId) -> None:
        request = self._lease.request(trio.current_time())
        if request is None:
            return
        reply = await store.lease(cluster, own, request)
        try:
            ids = self._lease.granted(reply, trio.current_time())
        except ValueError as error:
            raise StoreFailed("nonsense", str(error)) from None
        if ids is not None:
            self._leased(ids)
