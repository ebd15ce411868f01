"""GStreamer's webrtcbin against a whole appliance: its tone and its message come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import reachable

pytestmark = pytest.mark.interop

PEER = TREE / "tests/interop/gstreamer_peer.py"


@shows("GStreamer", "audio", "data channel", "WHIP")
async def test_a_tone_and_a_message_come_back(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(90):
            done = await trio.run_process(
                ["/usr/bin/python3", str(PEER), f"{appliance.url}/whip/echo", "8"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        result = json.loads(done.stdout)
        assert (result["status"], result["ended"]) == (201, 200), done.stderr.decode()
        assert result["echo"] == "hello"
        assert result["packets"] > 100
        assert result["loud"] > 10  # of ten a second
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))
