"""All workers are replaced under live calls: none of them ends, and nothing that they say is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.stats import TransceiverStats
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.live_calls import call_command, live_calls

pytestmark = pytest.mark.process

MANY = 20
ROLLED = ["relay-0", "relay-1", "transceiver-0", "transceiver-1", "signaling-0"]


async def tandem(appliance: Appliance, *arguments: str) -> tuple[int, Any]:
    """`tandem VERB --json`: exit code and reply."""
    command = [sys.executable, "-m", "appliance.cli.main", *arguments, "--json"]
    command += ["--runtime-directory", str(appliance.directory)]
    done = await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, cwd=TREE
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr.decode()


def of_worker(row: WorkerStatus) -> TransceiverStats:
    assert isinstance(row.stats, TransceiverStats)
    return row.stats


def states(status: StatusReply) -> dict[str, str]:
    return {worker.name: worker.state for worker in status.workers}


async def test_every_kind_is_replaced_and_calls_go_on(tmp_path: Path) -> None:
    config = {"relay": {"workers": 2}, "transceiver": {"workers": 2}}
    async with running_appliance(tmp_path, config) as appliance:
        before = {worker.name: worker.pid for worker in (await appliance.status()).workers}
        async with live_calls(appliance, 12.0, MANY) as calls:
            code, reply = await tandem(appliance, "reload", "--roll")
            assert (code, reply["replaced"]) == (0, ROLLED), reply
            status = await appliance.status()
            assert status.state == "ready"
            assert {n: s for n, s in states(status).items() if n.startswith("transceiver")} == {
                "transceiver-0": "draining",
                "transceiver-1": "draining",
                "transceiver-2": "ready",
                "transceiver-3": "ready",
            }
            command = call_command(appliance, 1.0, 2)
            done = await trio.run_process(command, capture_stdout=True, cwd=TREE)
            assert json.loads(done.stdout)["sessions_ok"] == 2
            rows = {worker.name: worker for worker in (await appliance.status()).workers}
            created = [of_worker(rows[f"transceiver-{n}"]).created_total for n in range(4)]
            assert sum(created[:2]) == MANY
        report, said = calls.report, appliance.log()
        assert report["sessions_ok"] == MANY, f"{report}\n{said}"
        assert report["packets_lost"] == 0, f"{report}\n{said}"
        gone = {"transceiver-0", "transceiver-1", "signaling-0"}
        status = await appliance.until(lambda s: not gone & states(s).keys())
        assert status.state == "ready"
        assert not {worker.pid for worker in status.workers} & set(before.values())
