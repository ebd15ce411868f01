"""Back ends as processes of their own, beside an appliance that is told of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx
import trio

from ipc.messages.stats import EndpointStats, TransceiverStats
from tests.support.appliance import TREE, Appliance
from tests.support.live_calls import Calls

OFFER: Final = TREE / "tests" / "fixtures" / "offers" / "chromium-audio.sdp"
ENVIRONMENT: Final = {"PYTHONPATH": str(TREE), "PATH": "/usr/bin:/bin"}


@asynccontextmanager
async def service(script: Path, *arguments: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A script with these arguments, killed behind you."""
    process = subprocess.Popen(
        [sys.executable, "-P", script, *arguments], cwd=TREE, env=ENVIRONMENT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def configured(*endpoints: str) -> dict[str, dict[str, Any]]:
    """Overrides: the back end of all calls is at these end points."""
    return {"backends": {"endpoints": {"agent": list(endpoints)}, "default": "agent"}}


async def offer(
    appliance: Appliance, headers: Mapping[str, str] = MappingProxyType({})
) -> httpx.Response:
    """A browser's offer, which nobody follows up."""
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(
            f"{appliance.url}/v1/realtime/calls",
            content=OFFER.read_bytes(),
            headers={"content-type": "application/sdp", **headers},
        )


async def endpoints(appliance: Appliance, backend: str) -> dict[str, EndpointStats]:
    """That back end's end points, as the transceiver sees them."""
    for worker in (await appliance.status()).workers:
        if isinstance(worker.stats, TransceiverStats):
            return worker.stats.backends[backend]
    return {}  # it has said nothing yet


async def seen(appliance: Appliance, backend: str) -> EndpointStats:
    """That back end's one end point."""
    return next(iter((await endpoints(appliance, backend)).values()), EndpointStats(live=False))


async def none_lost(calls: Calls, appliance: Appliance, backend: str) -> None:
    """Frames of these calls, which are over, have all come back, but for those that nobody heard since
    the back end had not accepted the call yet: as many as it says, which it does once a second."""
    with trio.move_on_after(60):
        while calls.report["packets_lost"] != (await seen(appliance, backend)).before_accept:
            await trio.sleep(0.1)
        return
    raise AssertionError((calls.report, await seen(appliance, backend)))


async def there(appliance: Appliance, headers: Mapping[str, str] = MappingProxyType({})) -> None:
    """Wait until a back end is: offers are taken from then on."""
    with trio.fail_after(60):
        while (reply := await offer(appliance, headers)).status_code != 201:
            assert reply.json()["type"] == "urn:tandem:problem:backend-away", reply.text
            await trio.sleep(0.05)
    async with httpx.AsyncClient() as client:
        await client.post(f"{appliance.url}{reply.headers['location']}/hangup", headers=headers)
