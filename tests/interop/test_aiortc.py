"""aiortc, another WebRTC stack, against a whole appliance: its tone comes back as that tone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import reachable

pytestmark = pytest.mark.interop

PEER = TREE / "tests/interop/aiortc_peer.py"


@shows("aiortc", "audio", "WHIP", "Realtime calls")
@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/whip/echo"])
async def test_a_tone_comes_back(tmp_path: Path, path: str) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, str(PEER), appliance.url, path, "3"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        result = json.loads(done.stdout)
        assert result["status"] == 201
        assert result["location"].startswith(f"{path}/rtc_0_")
        assert result["state"] == "connected"
        assert result["frames"] > 50
        assert result["rms"] > 1000
        assert result["tone"] > 0.8
        assert result["ended"] == 200
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))
