"""Live calls while the appliance drains, loses a relay, a signaling worker, or its supervisor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.appliance import Appliance, running_appliance
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process


async def offer(appliance: Appliance) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        url = f"{appliance.url}/v1/realtime/calls"
        headers = {"content-type": "application/sdp"}
        return await client.post(url, content="v=0\r\n", headers=headers, timeout=60)


async def test_a_drain_finishes_calls_and_takes_no_new_ones(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"supervisor": {"drain_timeout": 60.0}}) as appliance:
        async with live_calls(appliance) as calls:
            appliance.signal(signal.SIGTERM)
            await appliance.until(lambda s: s.state == "draining")
            refused = await offer(appliance)
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0
        assert await appliance.wait() == 0


async def test_a_drain_ends_calls_that_last_too_long(tmp_path: Path) -> None:
    config = {"supervisor": {"drain_timeout": 1.0}}
    async with running_appliance(tmp_path, config) as appliance, live_calls(appliance):
        appliance.signal(signal.SIGTERM)
        assert await appliance.wait() == 0
        assert "did not end in time" not in appliance.log()


@pytest.mark.parametrize("name", ["relay-0", "signaling-0"])
async def test_calls_survive_the_death_of_a_worker_that_does_not_own_them(
    tmp_path: Path, name: str
) -> None:
    """A relay relearns its flows from the clients' next checks; signaling is not in the way at all."""
    async with running_appliance(tmp_path) as appliance:
        async with live_calls(appliance, 8.0) as calls:
            pid = (await appliance.worker(name)).pid
            os.kill(pid, signal.SIGKILL)
            await appliance.until(
                lambda s: s.state == "ready" and all(w.pid != pid for w in s.workers)
            )
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        if name == "signaling-0":
            assert calls.report["packets_lost"] == 0
        else:
            assert calls.report["packets_received"] > calls.report["packets_sent"] / 3


async def test_calls_survive_the_death_of_the_supervisor(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        async with live_calls(appliance) as calls:
            appliance.process.kill()
            appliance.process.wait()
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0


async def test_a_dead_transceiver_takes_no_calls_but_its_own(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"transceiver": {"workers": 2}}) as appliance:
        async with live_calls(appliance) as calls:
            rows = (await appliance.sessions()).rows
            victim = rows[0].worker
            lost = sum(row.worker == victim for row in rows)
            pid = (await appliance.worker(victim)).pid
            os.kill(pid, signal.SIGKILL)
            await appliance.until(
                lambda s: s.state == "ready" and all(w.pid != pid for w in s.workers)
            )
            left = (await appliance.sessions()).rows
            assert len(left) == CALLS - lost
            assert all(row.worker != victim for row in left)
        assert calls.report["sessions_failed"] <= lost, f"{calls.report}\n{appliance.log()}"
