"""A host's beat against a real Redis that is far away, hangs, or answers too late."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from config.ids import ClusterId, Epoch, HostId, Route, TransceiverId
from config.model import RedisSection
from ipc.messages.fleet import FleetHost
from tests.support.far_redis import far
from tests.support.quiet_log import LogLines
from tests.support.redis_fleet import in_step, members, watching
from tests.support.redis_server import needs_redis, redis_server
from workers.fleet.core.flows import KEY_LENGTH, encode_route
from workers.fleet.core.health import Health
from workers.fleet.core.hosts import Hosts, lasting
from workers.fleet.core.lease import Lease
from workers.fleet.core.notice import Beat, encode_beat, encode_host
from workers.fleet.core.own import Own
from workers.fleet.redis import CONNECTIONS, WITHIN, Store, StoreFailed
from workers.fleet.registry import Registry

pytestmark = needs_redis
T = TypeVar("T")
C = ClusterId(7)
ME, OTHER = HostId("a" * 16), HostId("b" * 16)
KEYS = [n.to_bytes(KEY_LENGTH, "big") for n in range(8)]
VALUES = [encode_route(Route(C, TransceiverId(n), Epoch(1))) for n in range(8)]
FLOWS = dict(zip(KEYS, VALUES, strict=True))


def host(name: HostId, state: str = "ready") -> FleetHost:
    return FleetHost(name, C, state)


class Beating:
    """A registry that keeps on, and what is known of it."""

    def __init__(self, url: str, name: HostId) -> None:
        self.hosts = Hosts(name, 1)
        self.own = Own(1)
        self.own.describe(host(name))
        self.health = Health(0.0, trio.current_time())
        self.registry = Registry(
            RedisSection(url=url),
            self.own,
            self.hosts,
            Lease(0),
            self.health,
            LogLines().log,
            generation=1,
            everywhere=False,
            leased=lambda ids: None,
            heard=lambda: None,
        )


@asynccontextmanager
async def beating(url: str, name: HostId = ME) -> AsyncIterator[Beating]:
    it = Beating(url, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.registry.keep)
        await until(lambda: it.health.reached)
        yield it
        nursery.cancel_scope.cancel()


async def reached(it: Beating) -> Store:
    await until(lambda: it.registry.store)
    assert it.registry.store is not None
    return it.registry.store


async def asked(it: Beating, ask: Callable[[Store], Awaitable[T]]) -> T:
    """An answer. On a busy machine one may come too late: then ask the next store, as a desk would."""
    while True:
        try:
            return await ask(await reached(it))
        except StoreFailed:
            it.registry.hurry()
            await trio.sleep(0.1)


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.01)


async def test_a_redis_on_another_continent_is_a_redis() -> None:
    """Half a second there and back: to connect and ask takes three of those at least."""
    with redis_server() as redis:
        await redis.start()
        async with (
            far(redis, 0.25) as way,
            beating(way.url) as it,
            beating(way.url, OTHER) as other,
        ):
            await until(lambda: len(other.hosts.view()) == len(it.hosts.view()) == 1)
            await asked(it, partial(Store.write, flows=FLOWS, kept=100))
            for key, value in FLOWS.items():  # while beats go on
                assert await asked(it, partial(Store.find, keys=[key])) == (value,)


async def test_a_late_answer_is_never_taken_for_that_of_another_question() -> None:
    with redis_server() as redis:
        await redis.start()
        async with far(redis, 0.0) as way, beating(way.url) as it:
            await asked(it, partial(Store.write, flows=FLOWS, kept=100))
            for turn in range(2 * CONNECTIONS):
                store = await reached(it)
                way.delay = 0.7 * WITHIN  # it comes, and too late
                with pytest.raises(StoreFailed, match="timeout"):
                    await store.find([KEYS[turn % 8]])
                way.delay = 0.0
                with pytest.raises(StoreFailed, match="timeout"):
                    await store.find([KEYS[0]])
                for key, value in FLOWS.items():
                    assert await asked(it, partial(Store.find, keys=[key])) == (value,)


async def test_it_may_hang_as_often_as_it_likes() -> None:
    with redis_server() as redis:
        await redis.start()
        async with beating(redis.url) as it:
            for _ in range(CONNECTIONS + 1):
                redis.signal(signal.SIGSTOP)
                await until(lambda: not it.health.reached)
                redis.signal(signal.SIGCONT)
                await until(lambda: it.health.reached)
            assert it.health.failures["timeout"] >= CONNECTIONS


async def test_what_others_are_told_of_us_is_put_right_whoever_has_spoilt_it() -> None:
    """A beat of a connection that was given up may arrive after the others have taken us out: it stands
    there alone then, and nobody tells us. Or what we were arrives after what we are."""
    with redis_server() as redis:
        await redis.start()
        beats, hosts = f"tandem:{{{C}}}:beats", f"tandem:{{{C}}}:hosts"
        async with beating(redis.url) as it, beating(redis.url, OTHER) as other:
            await until(lambda: lasting(other.hosts.view()) == (host(ME),))
            generation = it.registry.generation
            late = encode_beat(Beat(ME, 1, 1, 0, 0))
            redis.ask("HDEL", hosts, ME)
            redis.ask("HSET", beats, ME, late)
            await until(lambda: redis.ask("HEXISTS", hosts, ME) == b":1\r\n")
            await until(
                lambda: it.registry.generation > generation
            )  # perhaps all else is lost, too
            now = host(ME, "draining")
            it.own.describe(now)
            await until(lambda: lasting(other.hosts.view()) == (now,))
            version = it.own.version
            redis.ask("HSET", hosts, ME, encode_host(host(ME)))
            await until(lambda: it.own.version > version)  # who has read it meanwhile reads again
            await until(lambda: encode_host(now) in redis.ask("HGET", hosts, ME))
            await until(lambda: lasting(other.hosts.view()) == (now,))


async def test_a_beat_that_nobody_stands_behind_is_taken_out() -> None:
    with redis_server() as redis:
        await redis.start()
        beats = f"tandem:{{{C}}}:beats"
        redis.ask("HSET", beats, OTHER, encode_beat(Beat(OTHER, 1, 1, 1, 0)))
        async with beating(redis.url) as it:
            await until(lambda: redis.ask("HEXISTS", beats, OTHER) == b":0\r\n")
            assert not it.hosts.view()


async def goes_on(url: str, kill: Callable[[], None]) -> None:
    """Nobody is taken away when their server dies, and news goes by whichever takes its place."""
    async with beating(url) as it, beating(url, OTHER) as other:
        await until(lambda: lasting(it.hosts.view()) == (host(OTHER),))
        kill()
        await until(lambda: not it.health.reached)
        assert lasting(it.hosts.view()) == (host(OTHER),)
        now = host(ME, "draining")
        it.own.describe(now)
        await until(lambda: lasting(other.hosts.view()) == (now,))


async def test_when_a_primary_dies_all_goes_on_with_the_one_that_sentinels_choose(
    tmp_path: Path,
) -> None:
    with redis_server() as primary, redis_server() as replica:
        await primary.start()
        await replica.start(["--replicaof", "127.0.0.1", str(primary.port)])
        await in_step(replica)
        async with watching(tmp_path, primary, replica) as url:
            await goes_on(url, primary.kill)


async def test_when_a_member_of_a_cluster_dies_all_goes_on_with_its_replica() -> None:
    async with members(3, replicas=1) as (url, nodes):

        def kill() -> None:
            (owner,) = (
                node
                for node in nodes
                if node.ask("HLEN", f"tandem:{{{C}}}:beats").startswith(b":")
                if b"role:master" in node.ask("INFO", "replication")
            )
            owner.kill()

        await goes_on(url, kill)
