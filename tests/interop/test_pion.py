"""Pion against a whole appliance: frames of its own making and a message come back."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import trio

from bench import golang
from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import reachable

pytestmark = pytest.mark.interop

CLIENT = TREE / "build/interop/pion-client"


@shows("Pion", "audio", "data channel", "WHIP")
async def test_frames_and_a_message_come_back(tmp_path: Path) -> None:
    CLIENT.parent.mkdir(parents=True, exist_ok=True)
    build = partial(golang.build, TREE / "tests/interop/pion", CLIENT)
    await trio.to_thread.run_sync(build)
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(90):
            done = await trio.run_process(
                [str(CLIENT), f"{appliance.url}/whip/echo", "2"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        result = json.loads(done.stdout.splitlines()[-1])  # its log goes there, too
        assert (result["status"], result["ended"], result["state"]) == (201, 200, "connected")
        assert result["echo"] == "hello"
        assert result["foreign"] == 0
        assert result["sent"] == 100
        assert result["received"] > 90  # a busy machine may lose one
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))
