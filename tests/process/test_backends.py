"""A back end elsewhere, as a process of its own, behind a whole appliance."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from ipc.backend.serve import serve
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.live_calls import live_calls
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process
OFFER: Final = TREE / "tests" / "fixtures" / "offers" / "chromium-audio.sdp"
ENVIRONMENT: Final = {"PYTHONPATH": str(TREE), "PATH": "/usr/bin:/bin"}
SERVICE: Final = Path(__file__).with_name("echo_service.py")


@asynccontextmanager
async def service(endpoint: str, *options: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", SERVICE, endpoint, *options], cwd=TREE, env=ENVIRONMENT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def configured(*endpoints: str) -> dict[str, dict[str, Any]]:
    return {"backends": {"endpoints": {"agent": list(endpoints)}, "default": "agent"}}


async def offer(appliance: Appliance) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(
            f"{appliance.url}/v1/realtime/calls",
            content=OFFER.read_bytes(),
            headers={"content-type": "application/sdp"},
        )


async def there(appliance: Appliance) -> None:
    """Wait until a back end is: offers are taken from then on."""
    with trio.fail_after(30):
        while (reply := await offer(appliance)).status_code != 201:
            assert reply.status_code == 501, reply.text
            await trio.sleep(0.05)
    async with httpx.AsyncClient() as client:
        await client.post(f"{appliance.url}{reply.headers['location']}/hangup")


async def test_calls_pass_through_a_back_end_and_come_back_whole(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with (
        service(endpoint),
        running_appliance(tmp_path, configured(endpoint)) as appliance,
    ):
        await there(appliance)
        async with live_calls(appliance, 3.0) as calls:
            pass
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0, calls.report
        assert "Traceback" not in appliance.log()


async def test_without_a_back_end_the_offer_is_refused_with_the_reason(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/nobody.sock"
    async with running_appliance(tmp_path, configured(endpoint)) as appliance:
        reply = await offer(appliance)
        assert reply.status_code == 501
        assert "agent" in reply.json()["detail"]


async def test_sessions_of_a_killed_back_end_go_on_at_another(
    tmp_path: Path, short_directory: Path
) -> None:
    one, two = (f"ipc://{short_directory}/{name}.sock" for name in "ab")
    async with (
        service(one) as first,
        service(two),
        running_appliance(tmp_path, configured(one, two)) as appliance,
    ):
        await there(appliance)
        await trio.sleep(1.0)  # until both have been heard
        async with live_calls(appliance, 8.0, count=10) as calls:
            first.kill()
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        lost = calls.report["packets_lost"]
        # Half of them, two seconds at most of fifty packets a second.
        assert 0 < lost <= 5 * 2.2 * 50, calls.report


async def test_a_back_end_that_hangs_up_ends_the_call(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with running_appliance(tmp_path, configured(endpoint)) as appliance, serve(endpoint) as calls:
        await there(appliance)
        async with live_calls(appliance, 30.0, count=1) as report:
            call = await calls.__anext__()
            while call.ended:
                call = await calls.__anext__()
            call.hang_up("goodbye")
        assert report.report["sessions_ok"] == 0
        assert "backend_ended" in appliance.log() or report.report["errors"]
