"""A client secret for one call, and everything that could make it good for a second one."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from ipc.messages.admin import StatusReply
from ipc.messages.stats import SignalingStats
from tests.process.test_placing_elsewhere import replaced
from tests.process.test_roll import tandem
from tests.support.access import KEY, line
from tests.support.appliance import Appliance, running_appliance
from tests.support.hosts import Site, knows
from tests.support.redis_server import needs_redis, redis_server
from tests.support.services import OFFER

pytestmark = pytest.mark.process
TRIES = 10


def locked(tmp_path: Path) -> dict[str, Any]:
    keys = tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY), encoding="utf-8")
    keys.chmod(0o600)
    return {"signaling": {"api_keys": str(keys)}}


async def bought(appliance: Appliance) -> str:
    async with httpx.AsyncClient(base_url=appliance.url, trust_env=False, timeout=60) as http:
        minted = await http.post(
            "/v1/realtime/client_secrets",
            json={"single_use": True},
            headers={"authorization": f"Bearer {KEY}"},
        )
        value: str = minted.json()["value"]
        return value


async def called(appliance: Appliance, secret: str) -> int:
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/sdp"}
    async with httpx.AsyncClient(base_url=appliance.url, trust_env=False, timeout=60) as http:
        answer = await http.post("/v1/realtime/calls", content=OFFER.read_bytes(), headers=headers)
        return answer.status_code


def pid_of(status: StatusReply) -> int:
    (pid,) = (worker.pid for worker in status.workers if worker.name == "signaling-0")
    return pid


@asynccontextmanager
async def two_hosts(tmp_path: Path) -> AsyncIterator[tuple[Appliance, Appliance]]:
    site = Site(tmp_path)
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_server())
        await redis.start()
        config = {"redis": {"url": redis.url}} | locked(tmp_path)
        one, other = [
            await stack.enter_async_context(site.host(number, tmp_path / str(number), **config))
            for number in (2, 3)
        ]
        await one.until(knows(1))
        await other.until(knows(1))
        yield one, other


async def test_neither_a_crash_nor_a_roll_makes_it_two(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, locked(tmp_path)) as appliance:
        secret = await bought(appliance)
        assert [await called(appliance, secret) for _ in range(2)] == [201, 401]
        pid = pid_of(await appliance.status())
        os.kill(pid, signal.SIGKILL)
        await appliance.until(replaced(pid))
        assert await called(appliance, secret) == 401
        unspent = await bought(appliance)
        code, reply = await tandem(appliance, "reload", "--roll")
        assert code == 0, reply
        assert [await called(appliance, each) for each in (secret, unspent)] == [401, 201]


async def unasked(appliance: Appliance) -> int:
    """Times that Redis did not say in time, as happens on a busy machine: then a host's own word stands."""
    status = await appliance.status()
    (stats,) = (w.stats for w in status.workers if isinstance(w.stats, SignalingStats))
    return stats.secrets.get("fleet_silent", 0)


@needs_redis
async def test_nor_does_another_host(tmp_path: Path) -> None:
    async with two_hosts(tmp_path) as hosts:
        for first, second in (hosts, hosts[::-1]):
            for _ in range(TRIES):
                before = [await unasked(host) for host in hosts]
                secret = await bought(first)
                assert await called(first, secret) == 201
                if await called(second, secret) == 401:
                    break
                with trio.fail_after(60):
                    while [await unasked(host) for host in hosts] == before:
                        await trio.sleep(0.1)
            else:
                pytest.fail("Redis never answered in time")
