"""A replacement that cannot work is given up with the first worker, and the others never notice.

The operator here asks for the native datapath on a host where there was no compiler to build it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process

_PACKAGES = ("appliance", "config", "ipc", "workers")


@pytest.fixture
def never_compiled(tmp_path: Path) -> Path:
    """The product as it is installed without a compiler."""
    tree = tmp_path / "tree"
    for package in _PACKAGES:
        shutil.copytree(
            TREE / package, tree / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    return tree


async def reload(appliance: Appliance) -> tuple[int, dict[str, Any]]:
    """`tandem reload`: exit code and reply."""
    command = [sys.executable, "-m", "appliance.cli.main", "reload"]
    command += ["--runtime-directory", str(appliance.directory)]
    done = await trio.run_process([*command, "--json"], capture_stdout=True, check=False, cwd=TREE)
    return done.returncode, json.loads(done.stdout)


def edit(appliance: Appliance, old: str, new: str) -> None:
    file = appliance.directory / "tandem.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


async def test_a_canary_that_dies_leaves_everything_as_it_was(
    tmp_path: Path, never_compiled: Path
) -> None:
    config = {"relay": {"workers": 2, "datapath": "auto"}}
    async with running_appliance(tmp_path, config, never_compiled) as appliance:
        before = {w.name: w for w in (await appliance.status()).workers}
        assert before["relay-0"].note.startswith("python (")
        async with live_calls(appliance) as calls:
            edit(appliance, 'datapath = "auto"', 'datapath = "native"')
            code, reply = await reload(appliance)
            assert (code, reply["replaced"]) == (1, [])
            assert "relay-2 did not start: exit code 70: NotBuilt" in reply["given_up"]
            assert "there are 2 relays as before" in reply["given_up"]

            status = await appliance.until(lambda s: s.state == "ready" and len(s.workers) == 4)
            after = {w.name: w for w in status.workers}
            assert {n: w.pid for n, w in after.items()} == {n: w.pid for n, w in before.items()}
            assert "given_up" in appliance.log()

            edit(appliance, 'datapath = "native"', 'datapath = "python"')
            code, reply = await reload(appliance)
            assert (code, reply["replaced"], reply["given_up"]) == (0, ["relay-0", "relay-1"], "")
        # This datapath keeps no table: media wait for the client's next check, sessions go on.
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"


async def test_a_relay_that_was_added_in_the_same_breath_stays(
    tmp_path: Path, never_compiled: Path
) -> None:
    config = {"relay": {"workers": 1, "datapath": "auto"}}
    async with running_appliance(tmp_path, config, never_compiled) as appliance:
        edit(appliance, "workers = 1", "workers = 2")
        edit(appliance, 'datapath = "auto"', 'datapath = "native"')
        code, reply = await reload(appliance)
        assert (code, reply["added"], reply["replaced"]) == (1, ["relay-1"], [])
        assert "NotBuilt" in reply["given_up"]
        status = await appliance.until(lambda s: s.state == "ready")
        relays = [worker for worker in status.workers if worker.name.startswith("relay")]
        assert [(w.name, w.note.startswith("python (")) for w in relays] == [
            ("relay-0", True),
            ("relay-1", True),
        ]


async def test_a_transceiver_that_does_not_come_up_was_never_noticed(
    tmp_path: Path, never_compiled: Path
) -> None:
    config = {"transceiver": {"workers": 2, "media": "auto"}}
    async with running_appliance(tmp_path, config, never_compiled) as appliance:
        before = {w.name: w.pid for w in (await appliance.status()).workers}
        async with live_calls(appliance) as calls:
            edit(appliance, 'media = "auto"', 'media = "native"')
            code, reply = await reload(appliance)
            assert (code, reply["replaced"]) == (1, [])
            assert "transceiver-2 did not start: exit code 70: NotBuilt" in reply["given_up"]
            assert reply["given_up"].endswith("all else is as it was")
            status = await appliance.until(lambda s: s.state == "ready" and len(s.workers) == 4)
            assert {w.name: w.pid for w in status.workers} == before
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0
