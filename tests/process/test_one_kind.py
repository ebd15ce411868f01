"""Hosts that run one kind of worker alone: clients come in at one, and their sessions are on the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipc.messages.admin import StatusReply
from tests.support.appliance import TREE, Appliance
from tests.support.hosts import Site, relay_stats
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process


def roles(status: StatusReply) -> set[str]:
    return {worker.role for worker in status.workers}


def relay_host(site: Site, number: int, other: int) -> dict[str, dict[str, Any]]:
    """Clients come in there."""
    config = site.peers(number, other)
    config["transceiver"]["workers"] = 0
    return config | {"relay": {"workers": 2}, "supervisor": {"drain_timeout": 20.0}}


def transceiver_host(site: Site, number: int, other: int) -> dict[str, dict[str, Any]]:
    """Their sessions are there."""
    advertise = site.config(other)["relay"]["listen"]
    return site.peers(number, other) | {"relay": {"workers": 0, "advertise": advertise}}


def says(appliance: Appliance, *command: str) -> Any:
    """What a command says of an appliance, as JSON."""
    words = [sys.executable, "-m", "appliance.cli.main", *command, "--json"]
    done = subprocess.run(
        [*words, "-c", appliance.directory / "tandem.toml"],
        capture_output=True,
        text=True,
        cwd=TREE,
        check=False,
        timeout=60,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


async def test_a_relay_host_forwards_to_a_transceiver_host(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "b").mkdir()
    async with (
        site.alone(2, tmp_path / "a", **relay_host(site, 2, 3)) as a,
        site.alone(3, tmp_path / "b", **transceiver_host(site, 3, 2)) as b,
    ):
        relays = await a.until(lambda status: status.state == "ready")
        transceivers = await b.until(lambda status: status.state == "ready")
        assert roles(relays) == {"relay", "fleet"}
        assert (relays.page, relays.advertise) == ("", ())
        assert roles(transceivers) == {"transceiver", "signaling", "fleet"}
        assert transceivers.listen == ()
        b.url = transceivers.page.rstrip("/")
        async with live_calls(b) as calls:
            victim = await a.worker("relay-0")
            os.kill(victim.pid, signal.SIGKILL)
            await a.until(
                lambda s: s.state == "ready" and all(w.pid != victim.pid for w in s.workers)
            )
            for appliance in (a, b):
                assert not [
                    f for f in says(appliance, "doctor")["findings"] if f["level"] == "fail"
                ]
                assert says(appliance, "reload", "--roll")["given_up"] == ""
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{a.log()}\n{b.log()}"
        assert all(stats.conserved for stats in relay_stats(await a.status()))


async def test_sessions_of_other_hosts_outlive_the_end_of_their_relay_as_long_as_it_drains(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with (
        site.alone(2, tmp_path / "a", **relay_host(site, 2, 3)) as a,
        site.alone(3, tmp_path / "b", **transceiver_host(site, 3, 2)) as b,
    ):
        status = await b.until(lambda status: status.state == "ready")
        b.url = status.page.rstrip("/")
        async with live_calls(b) as calls:
            a.signal(signal.SIGTERM)
            await a.until(lambda status: status.state == "draining")
        assert (calls.report["sessions_ok"], calls.report["packets_lost"]) == (CALLS, 0), a.log()
        assert await a.wait() == 0  # and not only at the end of its patience


async def test_nobody_waits_for_the_other_to_start(tmp_path: Path) -> None:
    """A host whose counterpart is not there serves as far as it can, and says what it lacks."""
    site = Site(tmp_path)
    async with site.alone(2, tmp_path / "a", **relay_host(site, 2, 3)) as a:
        status = await a.until(lambda status: status.state == "degraded")
        assert any("no transceiver of another host" in warning for warning in status.warnings)
    async with site.alone(3, tmp_path / "b", **transceiver_host(site, 3, 2)) as b:
        status = await b.until(lambda status: status.state == "degraded")
        assert any("no relay of another host" in warning for warning in status.warnings)
