"""The appliance's own back end as a process: restarted when it dies, gone in order at the end."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply
from ipc.messages.stats import TransceiverStats
from tests.support.appliance import TREE, running_appliance
from tests.support.live_calls import live_calls
from tests.support.realtime_server import realtime_server

pytestmark = pytest.mark.process


def is_there(status: StatusReply, since: float) -> bool:
    """So a transceiver said of it after that."""
    return any(
        stats.usage.at > since and endpoint.live
        for stats in (w.stats for w in status.workers)
        if isinstance(stats, TransceiverStats)
        for endpoint in stats.backends["realtime"].values()
    )


async def test_it_is_restarted_and_a_drain_ends_calls_before_it(tmp_path: Path) -> None:
    async with realtime_server() as server:
        config: dict[str, dict[str, Any]] = {
            "realtime": {"url": server.url},
            "backends": {"default": "realtime"},
            "supervisor": {"drain_timeout": 30.0},
        }
        async with running_appliance(tmp_path, config) as appliance:
            os.kill((await appliance.worker("realtime-0")).pid, signal.SIGKILL)
            await appliance.until(
                lambda status: (
                    status.state == "ready"
                    and any(w.name == "realtime-0" and w.restarts for w in status.workers)
                )
            )
            since = time.monotonic()  # until transceivers have noticed, and said so
            await appliance.until(lambda status: is_there(status, since))
            async with live_calls(appliance, count=2):
                assert (await server.line(1)).closed is None
                appliance.signal(signal.SIGTERM)
                await appliance.until(lambda status: status.state == "draining")
                command = [sys.executable, "-m", "appliance.cli.main", "status"]
                command += ["-c", str(appliance.directory / "tandem.toml")]
                shown = await trio.run_process(command, capture_stdout=True, cwd=TREE)
                assert b"realtime-0" in shown.stdout
            assert await appliance.wait() == 0
            for index in range(2):
                assert len((await server.line(index)).heard) > 2 * 48_000
            assert "Traceback" not in appliance.log()
        assert not server.problems


async def test_one_that_cannot_listen_says_why_and_serves_when_it_can(tmp_path: Path) -> None:
    config = {"realtime": {"url": "ws://127.0.0.1:1/"}}
    async with running_appliance(tmp_path, config) as appliance:
        worker = await appliance.worker("realtime-0")
        (socket,) = appliance.directory.rglob("realtime-0.sock")
        in_the_way = socket.with_name(f"{socket.name}.new")
        in_the_way.mkdir()
        os.kill(worker.pid, signal.SIGKILL)
        await appliance.until(
            lambda status: any(
                "exit code 70: " in w.last_exit and "realtime-0.sock: " in w.note
                for w in status.workers
            )
        )
        in_the_way.rmdir()
        await appliance.until(lambda status: status.state == "ready")
        assert "Traceback" not in appliance.log()
