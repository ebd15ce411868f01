"""Relays are added and removed under live calls, and no call notices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.live_calls import live_calls

pytestmark = pytest.mark.process

_RELOAD = (sys.executable, "-m", "appliance.cli.main", "reload", "--json")
MANY = 12


async def relays(appliance: Appliance, wanted: int) -> tuple[int, dict[str, Any]]:
    """Let there be so many: what `tandem reload` says, and its exit code."""
    file = appliance.directory / "tandem.toml"
    lines = file.read_text().splitlines()
    at = next(n for n in range(lines.index("[relay]"), len(lines)) if "workers =" in lines[n])
    lines[at] = f"workers = {wanted}"
    file.write_text("\n".join(lines))
    done = await trio.run_process(
        [*_RELOAD, "--runtime-directory", str(appliance.directory)],
        capture_stdout=True,
        check=False,
        cwd=TREE,
    )
    return done.returncode, json.loads(done.stdout)


def are(*names: str) -> Any:
    """Just these relays, and all is well."""

    def check(status: StatusReply) -> bool:
        found = [w.name for w in status.workers if w.name.startswith("relay")]
        return found == list(names) and status.state == "ready"

    return check


def forwarded(status: StatusReply) -> dict[str, int]:
    rows = [w.stats for w in status.workers]
    return {row.worker: row.forwarded for row in rows if isinstance(row, RelayStats)}


@pytest.mark.parametrize("steering", ["hash", "table"])
async def test_calls_go_on_through_any_number_of_relays(tmp_path: Path, steering: str) -> None:
    config: dict[str, dict[str, Any]] = {
        "relay": {"steering": steering, "workers": 1},
        "transceiver": {"consent_timeout": 12.0},
    }
    async with running_appliance(tmp_path, config) as appliance:
        pids = {worker.name: worker.pid for worker in (await appliance.status()).workers}
        async with live_calls(appliance, count=MANY) as calls:
            assert (await relays(appliance, 2))[1]["added"] == ["relay-1"]
            await appliance.until(lambda status: sum(map(bool, forwarded(status).values())) == 2)
            assert (await relays(appliance, 3))[1]["added"] == ["relay-2"]
            await appliance.until(are("relay-0", "relay-1", "relay-2"))
            await appliance.until(lambda status: sum(map(bool, forwarded(status).values())) == 3)
            code, reply = await relays(appliance, 1)
            assert (code, reply["removed"]) == (0, ["relay-1", "relay-2"])
            await appliance.until(are("relay-0"))
        report, said = calls.report, appliance.log()
        assert report["sessions_ok"] == MANY, f"{report}\n{said}"
        assert report["packets_lost"] == 0, f"{report}\n{said}"
        after = await appliance.status()
        assert {worker.name: worker.pid for worker in after.workers} == pids
        assert after.workers[0].restarts == 0
