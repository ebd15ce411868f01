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
from tests.support.live_calls import CALLS, call_command, live_calls

pytestmark = pytest.mark.process

MANY = 20
ROLLED = ["relay-0", "relay-1", "transceiver-0", "transceiver-1", "signaling-0"]


NOTHING = {
    "problems": [],
    "changes": [],
    "replaced": [],
    "given_up": "",
    "added": [],
    "removed": [],
}


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
        async with live_calls(appliance, count=MANY) as calls:
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


def rewrite(appliance: Appliance, section: str, line: str) -> None:
    """Add a line to a table of the configuration."""
    file = appliance.directory / "tandem.toml"
    file.write_text(file.read_text().replace(f"[{section}]\n", f"[{section}]\n{line}\n", 1))


async def test_what_a_reload_would_do_is_what_it_does(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        assert await tandem(appliance, "config", "diff") == (0, NOTHING)
        before = {worker.name: worker.pid for worker in (await appliance.status()).workers}
        rewrite(appliance, "signaling", 'cors_origins = ["https://app.example"]')
        rewrite(appliance, "supervisor", "spares = false")
        rewrite(appliance, "relay", "max_flows = 4096")
        code, reply = await tandem(appliance, "config", "diff")
        assert code == 1
        assert {
            change["key"]: (change["effect"], change["roles"]) for change in reply["changes"]
        } == {
            "relay.max_flows": ("restart", []),
            "signaling.cors_origins": ("roll_workers", ["signaling"]),
            "supervisor.spares": ("live", []),
        }
        assert {w.name: w.pid for w in (await appliance.status()).workers} == before
        code, reply = await tandem(appliance, "reload")
        assert (code, reply["replaced"]) == (0, ["signaling-0"])
        status = await appliance.until(lambda s: "signaling-0" not in states(s))
        after = {worker.name: worker.pid for worker in status.workers}
        assert after.keys() - before.keys() == {"signaling-1"}
        assert after["transceiver-0"] == before["transceiver-0"]
        code, reply = await tandem(appliance, "config", "diff")
        assert (code, [change["key"] for change in reply["changes"]]) == (1, ["relay.max_flows"])


async def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = {worker.name: worker.pid for worker in (await appliance.status()).workers}
        bad = tmp_path / "bad.toml"
        bad.write_text("[relay]\nworker = 1\n")
        code, reply = await tandem(appliance, "config", "diff", str(bad))
        assert code == 78
        assert reply["problems"] == [
            f"{bad}:2: relay.worker: unknown key; did you mean relay.workers?"
        ]
        with (appliance.directory / "tandem.toml").open("a") as file:
            file.write('[ufrag]\nkeys = { a = "/nowhere" }\n')
        for verb in (("config", "diff"), ("reload",)):
            code, reply = await tandem(appliance, *verb)
            assert code == 78
            assert reply["problems"] == ["ufrag.keys.a: /nowhere: No such file or directory"]
        assert {w.name: w.pid for w in (await appliance.status()).workers} == before


async def test_a_key_for_ufrags_is_replaced_under_live_calls(tmp_path: Path) -> None:
    """Relays know the new key before anything is minted with it, and the old one while calls need it."""
    key = tmp_path / "a.key"
    key.touch(0o600)
    key.write_text("00112233445566778899aabbccddeeff")
    async with running_appliance(tmp_path) as appliance:
        async with live_calls(appliance) as calls:
            with (appliance.directory / "tandem.toml").open("a") as file:
                file.write(f'[ufrag]\nkeys = {{ a = "{key}" }}\n')
            code, reply = await tandem(appliance, "reload")
            assert (code, reply["replaced"]) == (0, ["relay-0", "transceiver-0", "signaling-0"])
            done = await trio.run_process(
                call_command(appliance, 1.0, 2), capture_stdout=True, cwd=TREE
            )
            assert json.loads(done.stdout)["sessions_ok"] == 2
        report = calls.report
        assert report["sessions_ok"] == CALLS, f"{report}\n{appliance.log()}"
        assert report["packets_lost"] == 0


async def test_another_number_of_transceivers(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        file = appliance.directory / "tandem.toml"
        text = file.read_text()
        at = text.index("workers = 1", text.index("[transceiver]"))
        file.write_text(text[:at] + text[at:].replace("workers = 1", "workers = 3", 1))
        code, reply = await tandem(appliance, "reload")
        assert (code, reply["added"]) == (0, ["transceiver-1", "transceiver-2"])
        assert (await appliance.status()).state == "ready"
        file.write_text(text)
        code, reply = await tandem(appliance, "reload")
        assert (code, reply["removed"]) == (0, ["transceiver-1", "transceiver-2"])
        await appliance.until(lambda s: list(states(s))[1:-1] == ["transceiver-0"])
