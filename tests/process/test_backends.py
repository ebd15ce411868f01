"""A back end elsewhere, as a process of its own, behind a whole appliance."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import trio

from ipc.backend.serve import serve
from tests.support.appliance import running_appliance
from tests.support.live_calls import live_calls
from tests.support.services import configured, endpoints, none_lost, offer, service, there
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process
SERVICE: Final = Path(__file__).with_name("echo_service.py")


async def test_calls_pass_through_a_back_end_and_come_back_whole(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with (
        service(SERVICE, endpoint),
        running_appliance(tmp_path, configured(endpoint)) as appliance,
    ):
        await there(appliance)
        async with live_calls(appliance, 3.0) as calls:
            pass
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        await none_lost(calls, appliance, "agent")
        assert "Traceback" not in appliance.log()


async def test_without_a_back_end_the_offer_is_refused_with_the_reason(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/nobody.sock"
    async with running_appliance(tmp_path, configured(endpoint)) as appliance:
        reply = await offer(appliance)
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert "agent" in reply.json()["detail"]


async def test_sessions_of_a_killed_back_end_go_on_at_another(
    tmp_path: Path, short_directory: Path
) -> None:
    one, two = (f"ipc://{short_directory}/{name}.sock" for name in "ab")
    async with (
        service(SERVICE, one) as first,
        service(SERVICE, two),
        running_appliance(tmp_path, configured(one, two)) as appliance,
    ):
        await there(appliance)
        with trio.fail_after(60):
            while [e.live for e in (await endpoints(appliance, "agent")).values()] != [True, True]:
                await trio.sleep(0.05)
        async with live_calls(appliance, count=10) as calls:
            first.kill()
            with trio.fail_after(60):
                while (await endpoints(appliance, "agent"))[two].sessions != 10:
                    await trio.sleep(0.1)
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        # Half of them, two seconds at most of fifty packets a second.
        assert calls.report["packets_lost"] <= 5 * 2.2 * 50, calls.report


async def test_a_back_end_that_hangs_up_ends_the_call(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with (
        running_appliance(tmp_path, configured(endpoint)) as appliance,
        serve(endpoint) as calls,
    ):
        await there(appliance)
        async with live_calls(appliance, count=1) as report:
            call = await calls.__anext__()
            while call.ended:
                call = await calls.__anext__()
            call.hang_up("goodbye")
        assert report.report["sessions_ok"] == 0
        assert "backend_ended" in appliance.log() or report.report["errors"]
