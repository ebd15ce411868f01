"""What is kept in a Redis, against real ones: a server, a Sentinel's, a Cluster; and broken ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from config.ids import ClusterId, Epoch, HostId, Route, TransceiverId
from config.redis_url import parse_redis_url
from tests.support.redis_fleet import members, watching
from tests.support.redis_server import (
    REDIS,
    VALKEY,
    RedisServer,
    needs_redis,
    needs_valkey,
    redis_server,
)
from workers.fleet import redis as module
from workers.fleet.core.flows import KEY_LENGTH, encode_route
from workers.fleet.core.lease import SETTLE, LeaseRequest
from workers.fleet.redis import Store, StoreFailed, open_store

pytestmark = needs_redis
C = ClusterId(7)
A, B = HostId("a" * 16), HostId("b" * 16)
VALUE = encode_route(Route(C, TransceiverId(2), Epoch(3)))


def key(n: int) -> bytes:
    return b"\r\n\x00\xff" + n.to_bytes(KEY_LENGTH - 4, "big")


@asynccontextmanager
async def opened(url: str, password: str = "") -> AsyncIterator[Store]:
    async with open_store(parse_redis_url(url), password, "t") as store:
        yield store


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is not a matter of how busy this machine is."""
    monkeypatch.setattr(module, "WITHIN", 30.0)
    monkeypatch.setattr(module, "OPEN_WITHIN", 60.0)


@asynccontextmanager
async def single(
    tmp_path: Path, options: Sequence[str] = (), program: str = REDIS
) -> AsyncIterator[tuple[str, RedisServer]]:
    with redis_server(program) as redis:
        await redis.start(options)
        yield redis.url, redis


@asynccontextmanager
async def sentinel(tmp_path: Path) -> AsyncIterator[str]:
    async with single(tmp_path) as (_, redis), watching(tmp_path, redis) as url:
        yield url


@asynccontextmanager
async def cluster(tmp_path: Path) -> AsyncIterator[str]:
    async with members(3) as (url, _):
        yield url


@asynccontextmanager
async def one(tmp_path: Path) -> AsyncIterator[str]:
    async with single(tmp_path) as (url, _):
        yield url


@asynccontextmanager
async def valkey(tmp_path: Path) -> AsyncIterator[str]:
    async with single(tmp_path, program=VALKEY) as (url, _):
        yield url


@asynccontextmanager
async def valkeys(tmp_path: Path) -> AsyncIterator[str]:
    async with members(3, program=VALKEY) as (url, _):
        yield url


VALKEYS = [pytest.param(kind, marks=needs_valkey) for kind in (valkey, valkeys)]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("kind", [one, sentinel, cluster, *VALKEYS])
async def test_all_that_is_kept_comes_back(tmp_path: Path, kind: object) -> None:
    assert callable(kind)
    async with kind(tmp_path) as url, opened(url) as store:
        assert await store.beat(C, A, b"1", b"what a is") == ({A: b"1"}, False, b"what a is")
        assert await store.beat(C, A, b"2", None) == ({A: b"2"}, True, b"what a is")
        beats, *_ = await store.beat(C, B, b"3", b"what b is")
        assert beats == {A: b"2", B: b"3"}
        assert await store.beats([C, ClusterId(8)]) == [beats, {}]
        assert await store.beats([]) == []
        assert await store.hosts(C, [B, HostId("c" * 16), A]) == {A: b"what a is", B: b"what b is"}
        assert await store.clusters() == [C]
        # Who has said something since is not gone.
        await store.forget(C, {A: b"2", B: b"2", HostId("c" * 16): b"2"})
        assert await store.beats([C]) == [{B: b"3"}]
        assert await store.hosts(C, [A, B]) == {B: b"what b is"}
        await store.write({key(n): VALUE for n in range(200)}, 100)
        await store.write({key(n): None for n in range(100, 200)}, 100)
        found = await store.find([key(n) for n in range(0, 200, 20)])
        assert list(found) == [VALUE] * 5 + [None] * 5


async def test_flows_are_not_kept_for_ever(tmp_path: Path) -> None:
    async with single(tmp_path) as (url, redis), opened(url) as store:
        await store.write({b"k" * KEY_LENGTH: VALUE}, 7200)
        assert redis.ask("TTL", "t:f:" + "k" * KEY_LENGTH) in (b":7200\r\n", b":7199\r\n")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("kind", [one, sentinel, cluster, *VALKEYS])
async def test_a_secret_is_spent_once(tmp_path: Path, kind: object) -> None:
    assert callable(kind)
    async with kind(tmp_path) as url, opened(url) as store:
        assert [await store.spend(each, 100) for each in ("aa", "aa", "bb")] == [True, False, True]


async def test_a_spent_secret_is_not_kept_for_ever(tmp_path: Path) -> None:
    async with single(tmp_path) as (url, redis), opened(url) as store:
        await store.spend("aa", 7200)
        assert redis.ask("TTL", "t:s:aa") in (b":7200\r\n", b":7199\r\n")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("kind", [one, cluster, *VALKEYS])
async def test_numbers_are_given_to_one_host_each(tmp_path: Path, kind: object) -> None:
    assert callable(kind)
    async with kind(tmp_path) as url, opened(url) as store:
        ours = (TransceiverId(5), TransceiverId(9))
        # What a host has it keeps at once; what it lacks it gets when all who live have spoken.
        assert await store.lease(C, A, LeaseRequest(3, 4, ours)) == [5, 9, -1]
        await trio.sleep(SETTLE + 0.1)
        assert await store.lease(C, A, LeaseRequest(3, 4, ours)) == [5, 9, 4]
        assert await store.lease(C, B, LeaseRequest(3, 4, ours)) == [6, 7, 8]
        assert await store.lease(ClusterId(8), B, LeaseRequest(1, 5, ())) == [-1]


async def test_a_number_is_free_when_its_time_is_over(tmp_path: Path) -> None:
    async with single(tmp_path) as (url, redis), opened(url) as store:
        redis.ask("HSET", "t:{7}:ids", "born", "1", "0", f"{B} 2", "1", "nonsense")
        assert await store.lease(C, A, LeaseRequest(2, 0, ())) == [0, 1]


async def test_a_password(tmp_path: Path) -> None:
    async with single(tmp_path, ["--requirepass", "secret"]) as (url, _):
        async with opened(url, "secret") as store:
            assert await store.beat(C, A, b"1", None) == ({A: b"1"}, False, None)
        with pytest.raises(StoreFailed, match="not_allowed"):
            async with opened(url, "wrong"):
                pass


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--maxmemory", "1", "--maxmemory-policy", "noeviction"], "full"),
        (["--replicaof", "127.0.0.1", "1"], "read_only"),
    ],
)
async def test_who_cannot_write_says_so(tmp_path: Path, options: list[str], reason: str) -> None:
    async with single(tmp_path, options) as (url, _):
        with pytest.raises(StoreFailed, match=reason):
            async with opened(url) as store:
                await store.beat(C, A, b"1", None)
        with pytest.raises(StoreFailed, match=reason):
            async with opened(url) as store:
                await store.write({key(1): VALUE}, 10)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$-5\r\n",
        b"*3\r\n:1\r\n",
        b"%1\r\n+a\r\n:3\r\n" * 4,
        b":7\r\n" * 50,
        b"*1\r\n" * 10_000,
        bytes(range(256)) * 8,
    ],
)
async def test_nonsense_is_a_failure_like_others(answer: bytes) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while await stream.receive_some():
                    await stream.send_all(answer)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, talk, [listener])
        for _ in range(2):
            with pytest.raises(StoreFailed):
                async with opened(f"redis://127.0.0.1:{port}") as store:
                    await store.clusters()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"],
)
async def test_nobody_there(url: str) -> None:
    with trio.fail_after(20), pytest.raises(StoreFailed):
        async with opened(url) as store:
            await store.clusters()
