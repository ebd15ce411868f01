"""While nobody calls, processes sleep; what operators see of them stays fresh all the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.grid import BEAT, QUIET
from tests.support.appliance import free_tcp_port, running_appliance

pytestmark = pytest.mark.process

SECONDS = 6 * QUIET
MOST_WAKES = 16.0
"""A second, of the supervisor with six workers and all its threads. Before life signs came together: 23."""


def wakes(pid: int) -> int:
    """How often its threads have gone to sleep so far."""
    lines = [
        line
        for task in Path(f"/proc/{pid}/task").glob("*/status")
        for line in task.read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


async def test_a_supervisor_is_awakened_seldom_and_knows_all_the_same(tmp_path: Path) -> None:
    config: dict[str, dict[str, Any]] = {
        "relay": {"workers": 2},
        "transceiver": {"workers": 2},
        "ops": {"listen": [f"127.0.0.1:{free_tcp_port()}"]},
    }
    async with running_appliance(tmp_path, config) as appliance:
        await appliance.until(lambda s: bool(s.spares) and all(x.waiting for x in s.spares))
        await trio.sleep(QUIET)
        pid = (await appliance.status()).pid
        before, began = wakes(pid), time.monotonic()
        await trio.sleep(SECONDS)
        assert (wakes(pid) - before) / (time.monotonic() - began) < MOST_WAKES
        status, now = await appliance.status(), time.monotonic()
        counted = {w.name: now - w.stats.usage.at for w in status.workers if w.stats}
        assert len(counted) == 6
        assert max(counted.values()) < QUIET + 3 * BEAT, counted
