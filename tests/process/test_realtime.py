"""The appliance's own back end as a process: restarted when it dies, gone in order at the end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.live_calls import live_calls
from tests.support.realtime_server import realtime_server

pytestmark = pytest.mark.process


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
            await trio.sleep(1.0)  # until transceivers have noticed
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
