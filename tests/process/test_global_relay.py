"""Two appliances: one is a Global Relay, the other a cluster behind it, and callers know only the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.ids import Endpoint
from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats
from tests.support.appliance import free_udp_port, running_appliance
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process

CLUSTER, GLOBAL = 7, 9


def replaced(pid: int) -> Callable[[StatusReply], bool]:
    """Another process than that is the relay, and serves."""
    return lambda status: any(
        w.name == "relay-0" and w.pid not in (0, pid) and w.state == "ready" for w in status.workers
    )


@pytest.mark.parametrize("datapath", ["native", "python"])
async def test_calls_go_through_both_and_survive_a_death_on_either(
    tmp_path: Path, datapath: str
) -> None:
    key = tmp_path / "key.hex"
    key.write_text("00112233445566778899aabbccddeeff")
    key.chmod(0o600)
    ingress = str(Endpoint("127.0.0.1", free_udp_port()))
    common: dict[str, dict[str, Any]] = {
        "ufrag": {"keys": {"a": str(key)}},
        "supervisor": {"drain_timeout": 0.5},
    }
    relay = {"datapath": datapath}
    (tmp_path / "global").mkdir()
    (tmp_path / "cluster").mkdir()
    async with (
        running_appliance(
            tmp_path / "global",
            {
                "cluster": {"id": GLOBAL, "others": {str(CLUSTER): [ingress]}},
                "relay": relay,
                **common,
            },
        ) as front,
        running_appliance(
            tmp_path / "cluster",
            {
                "cluster": {"id": CLUSTER, "ingress": ingress, "global_relays": ["127.0.0.1"]},
                "relay": {**relay, "advertise": [str(front.relay)]},
                **common,
            },
        ) as behind,
    ):
        async with live_calls(behind, 6.0) as calls:
            rows = (await behind.sessions()).rows
            assert all(f">{front.relay}/udp" in row.path for row in rows)
            if datapath == "native":
                for appliance in (front, behind):
                    before = await appliance.worker("relay-0")
                    os.kill(before.pid, signal.SIGKILL)
                    await appliance.until(replaced(before.pid))
        logs = front.log() + behind.log()
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{logs}"
        assert calls.report["packets_lost"] < 20 * CALLS  # a death costs some tens of milliseconds
        for appliance in (front, behind):
            stats = (await appliance.worker("relay-0")).stats
            assert isinstance(stats, RelayStats)
            assert stats.conserved
            assert stats.forwarded > 100 * CALLS
