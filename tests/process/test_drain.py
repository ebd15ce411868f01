"""An operator takes a host, or one transceiver, out of service and back, and no call ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import httpx
import pytest
import trio

from ipc.messages.admin import WorkerStatus
from tests.process.test_live_calls import offer
from tests.process.test_roll import tandem
from tests.support.appliance import TREE, Appliance, restart_appliance, running_appliance
from tests.support.child import child
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process


async def readiness(appliance: Appliance) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{appliance.url}/readyz")).status_code


def sessions_of(worker: WorkerStatus) -> int:
    """As it has last said, and as `tandem drain` counts them."""
    return worker.sessions if worker.role == "transceiver" else 0


@asynccontextmanager
async def waiting_for_the_last(appliance: Appliance) -> AsyncIterator[trio.Process]:
    """A `tandem drain` that has said how many are left."""
    place = str(appliance.directory)
    command = [sys.executable, "-m", "appliance.cli.main", "drain", "--runtime-directory", place]
    async with child([*command, "--deadline", "60"], stderr=PIPE, cwd=TREE) as process:
        assert process.stderr is not None
        async with process.stderr:
            said = b""
            while b" left" not in said:
                piece = await process.stderr.receive_some()
                assert piece, said
                said += piece
            yield process


async def test_a_host_takes_no_new_sessions_and_goes_on(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = {worker.pid for worker in (await appliance.status()).workers}
        async with live_calls(appliance) as calls:
            await appliance.until(lambda s: sum(map(sessions_of, s.workers)) == CALLS)
            code, reply = await tandem(appliance, "drain", "--deadline", "0")
            assert (code, reply["drained"], reply["sessions"]) == (1, ["host"], CALLS)
            refused = await offer(appliance)
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
            assert await readiness(appliance) == 503
            status = await appliance.status()
            assert (status.state, status.cordoned) == ("cordoned", True)
            code, reply = await tandem(appliance, "drain", "--until", str(CALLS))
            assert (code, reply["sessions"]) == (0, CALLS)
            async with waiting_for_the_last(appliance) as drain:
                calls.hang_up()
                assert await drain.wait() == 0
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0
        code, status = await tandem(appliance, "undrain")
        assert (code, status["state"], status["cordoned"]) == (0, "ready", False)
        assert await readiness(appliance) == 200
        assert {worker["pid"] for worker in status["workers"]} == before
        async with live_calls(appliance) as calls:
            calls.hang_up()
        assert calls.report["sessions_ok"] == CALLS


async def test_one_transceiver(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"transceiver": {"workers": 2}}) as appliance:
        code, _ = await tandem(appliance, "drain", "transceiver-0")
        assert code == 0
        async with live_calls(appliance) as calls:
            assert {row.worker for row in (await appliance.sessions()).rows} == {"transceiver-1"}
            assert (await appliance.status()).state == "ready"
            calls.hang_up()
        code, problem = await tandem(appliance, "drain", "relay-0")
        assert code == 2
        assert "relay-0 is no transceiver" in problem
        code, status = await tandem(appliance, "undrain", "transceiver-0")
        assert (code, [w["cordoned"] for w in status["workers"]]) == (0, [False] * 4)


async def test_a_crash_of_the_supervisor_is_no_undrain_but_a_stop_is(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        assert (await tandem(appliance, "drain"))[0] == 0
        os.kill(appliance.pid, signal.SIGKILL)
        appliance.process.wait()
        heir = restart_appliance(appliance.directory, appliance.relay)
        try:
            await heir.until(lambda status: status.state == "cordoned")
        finally:
            await heir.end()
        fresh = restart_appliance(appliance.directory, appliance.relay)
        try:
            await fresh.until(lambda status: status.state == "ready")
        finally:
            await fresh.end()
