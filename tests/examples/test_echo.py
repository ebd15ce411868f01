"""The smallest back end, as its user starts it: calls through it lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.appliance import TREE, running_appliance
from tests.support.live_calls import live_calls
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process


async def test_says_back_everything(tmp_path: Path, short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with (
        service(TREE / "examples" / "echo.py", endpoint),
        running_appliance(tmp_path, configured(endpoint)) as appliance,
    ):
        await there(appliance)
        async with live_calls(appliance, 3.0, options=["--data"]) as calls:
            pass
    assert calls.report["sessions_failed"] == 0, calls.report
    # On the way; of what a busy machine delayed for good the echo leaves some out, since it is live.
    assert calls.report["packets_lost_up"] == 0, calls.report
    assert calls.report["packets_lost_down"] == 0, calls.report
    assert calls.report["packets_received"] > 0, calls.report
    assert calls.report["messages_sent"] > 0, calls.report
    assert calls.report["messages_lost"] == 0, calls.report
