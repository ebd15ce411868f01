"""Redis dies, hangs, forgets, is full, or is none at all: calls do not notice, and it heals."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply
from tests.support.appliance import Appliance
from tests.support.hosts import Site, fleet_stats, relay_stats
from tests.support.live_calls import CALLS, Calls, live_calls
from tests.support.redis_server import (
    REDIS,
    VALKEY,
    RedisServer,
    needs_redis,
    needs_valkey,
    redis_server,
)

pytestmark = [pytest.mark.process, needs_redis]


@asynccontextmanager
async def host(tmp_path: Path, redis: RedisServer) -> AsyncIterator[Appliance]:
    """One that is ready and has Redis."""
    config: dict[str, dict[str, Any]] = {"redis": {"url": redis.url}}
    async with Site(tmp_path).host(2, tmp_path / "a", **config) as appliance:
        yield appliance


def reached(status: StatusReply) -> bool:
    return fleet_stats(status).redis.startswith("reached")


def away(status: StatusReply) -> bool:
    return fleet_stats(status).redis.startswith("away")


def written(status: StatusReply) -> bool:
    return fleet_stats(status).cache.get("written", 0) >= CALLS


def all_well(calls: Calls, appliance: Appliance) -> None:
    assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
    assert calls.report["packets_lost"] == 0


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        (REDIS, signal.SIGKILL),
        (REDIS, signal.SIGSTOP),
        pytest.param(VALKEY, signal.SIGKILL, marks=needs_valkey),
    ],
    ids=["redis-dies", "redis-hangs", "valkey-dies"],
)
async def test_it_dies_or_hangs_and_comes_back(
    tmp_path: Path, program: str, fault: signal.Signals
) -> None:
    with redis_server(program) as redis:
        await redis.start()
        async with host(tmp_path, redis) as appliance:
            async with live_calls(appliance) as calls:
                await appliance.until(written)
                redis.signal(fault)
                await appliance.until(away)
            all_well(calls, appliance)
            redis.kill()
            await redis.start()
            await appliance.until(reached)
            async with live_calls(appliance, 3.0) as calls:
                pass
            all_well(calls, appliance)
            assert sum(fleet_stats(await appliance.status()).failures.values())


async def test_it_forgets_everything_and_is_told_again(tmp_path: Path) -> None:
    with redis_server() as redis:
        await redis.start()
        async with host(tmp_path, redis) as appliance:
            async with live_calls(appliance) as calls:
                await appliance.until(written)
                assert redis.ask("FLUSHALL") == b"+OK\r\n"
                # At the clients' next checks, at most six seconds away.
                await appliance.until(lambda s: fleet_stats(s).cache["written"] >= 2 * CALLS)
                assert redis.ask("HLEN", "tandem:{0}:beats") == b":1\r\n"
            all_well(calls, appliance)


async def test_it_is_full(tmp_path: Path) -> None:
    with redis_server() as redis:
        await redis.start()
        async with host(tmp_path, redis) as appliance:
            redis.ask("CONFIG", "SET", "maxmemory", "1mb")
            await appliance.until(away)
            assert "full" in fleet_stats(await appliance.status()).failures
            async with live_calls(appliance, 3.0) as calls:
                pass
            all_well(calls, appliance)
            redis.ask("CONFIG", "SET", "maxmemory", "0")
            await appliance.until(reached)


async def test_it_is_none(tmp_path: Path) -> None:
    """Somebody else is on that port, who says whatever comes to his mind."""
    with redis_server() as redis:
        await redis.start()
        async with host(tmp_path, redis) as appliance:
            redis.kill()

            async def talk_nonsense(stream: trio.SocketStream) -> None:
                answers = (
                    b"HTTP/1.1 400 Bad Request\r\n\r\n",
                    b"*3\r\n:1\r\n",
                    b"$-9\r\n",
                    b"%1\r\n",
                )
                async with stream:
                    while await stream.receive_some():
                        for answer in answers:
                            await stream.send_all(answer)

            async def serve_one(stream: trio.SocketStream) -> None:
                with suppress(trio.BrokenResourceError):
                    await talk_nonsense(stream)

            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(redis.port, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, serve_one, listeners)
                await appliance.until(away)
                async with live_calls(appliance, 3.0) as calls:
                    pass
                all_well(calls, appliance)
                nursery.cancel_scope.cancel()
            await redis.start()
            await appliance.until(reached)
            assert all(stats.conserved for stats in relay_stats(await appliance.status()))


async def test_it_was_never_there_and_numbers_have_been_kept(tmp_path: Path) -> None:
    with redis_server() as redis:
        await redis.start()
        async with host(tmp_path, redis) as appliance:
            directory = appliance.directory
            numbers = (directory / "state" / "numbers").read_bytes()
            name = (directory / "state" / "host").read_bytes()
        redis.kill()
        site = Site(tmp_path)
        state = tmp_path / "state"
        state.mkdir(mode=0o700)
        (state / "numbers").write_bytes(numbers)
        (state / "host").write_bytes(name)
        config: dict[str, dict[str, Any]] = {
            "redis": {"url": redis.url},
            "supervisor": {"state_directory": str(state)},
        }
        async with (
            site.host(2, tmp_path / "b", **config) as appliance,
            live_calls(appliance, 3.0) as calls,
        ):
            await appliance.until(away)
        all_well(calls, appliance)
