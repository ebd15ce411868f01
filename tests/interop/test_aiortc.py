"""aiortc, another WebRTC stack, against a whole appliance: its tone comes back as that tone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.appliance import TREE, free_udp_port, running_appliance
from tests.support.child import child
from tests.support.hosts import Site, relay_stats
from tests.support.interop import shows
from tests.support.peers import reachable

pytestmark = pytest.mark.interop

PEER = TREE / "tests/interop/aiortc_peer.py"


@shows("aiortc", "audio", "WHIP", "Realtime calls")
@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/whip/echo"])
async def test_a_tone_comes_back(tmp_path: Path, path: str) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, str(PEER), appliance.url, path, "3"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        result = json.loads(done.stdout)
        assert result["status"] == 201
        assert result["location"].startswith(f"{path}/rtc_0_")
        assert result["state"] == "connected"
        assert result["frames"] > 50
        assert result["rms"] > 1000
        assert result["tone"] > 0.8
        assert result["ended"] == 200
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))


async def call(url: str, *options: str) -> dict[str, Any]:
    """Three seconds of the echo."""
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, str(PEER), url, "/whip/echo", "3", *options],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@shows("aiortc", "DTLS roles, both")
@pytest.mark.parametrize(("offered", "answered"), [("active", "passive"), ("passive", "active")])
async def test_whoever_wants_one_role_gets_it(tmp_path: Path, offered: str, answered: str) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        result = await call(appliance.url, "--setup", offered)
    assert result["answered"] == [answered]
    assert result["state"] == "connected"
    assert result["frames"] > 50
    assert result["tone"] > 0.8


@shows("aiortc", "IPv6")
async def test_a_tone_comes_back_over_ipv6_alone(tmp_path: Path) -> None:
    only = {"relay": {"listen": [f"[::1]:{free_udp_port()}"]}}
    async with running_appliance(tmp_path, only) as appliance:
        result = await call(appliance.url, "--host", "::1")
        assert result["state"] == "connected"
        assert result["frames"] > 50
        assert result["tone"] > 0.8
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))


@shows("aiortc", "audio", "a Global Relay that dies")
async def test_a_tone_comes_back_through_a_global_relay(tmp_path: Path) -> None:
    """All that the client knows is that one, whose worker is killed in the middle of the call."""
    site = Site(tmp_path)
    ingress = f"127.0.0.3:{free_udp_port()}"
    entrance: dict[str, Any] = {
        "cluster": {"id": 9, "others": {"7": [ingress]}},
        "transceiver": {"workers": 0},
    }
    behind = {"id": 7, "ingress": ingress, "global_relays": ["127.0.0.2"]}
    async with site.host(2, tmp_path / "global", **entrance, **reachable()) as front:
        advertise = [str(endpoint) for endpoint in (await front.status()).listen]
        cluster: dict[str, Any] = {"cluster": behind, "relay": {"advertise": advertise}}
        async with site.host(3, tmp_path / "cluster", **cluster) as end:
            command = [sys.executable, str(PEER), end.url, "/whip/echo", "5"]
            async with child(command, stdout=subprocess.PIPE) as process:
                await end.until(lambda status: any(w.sessions for w in status.workers))
                await front.until(lambda status: relay_stats(status)[0].forwarded > 50)
                before = await front.worker("relay-0")
                os.kill(before.pid, signal.SIGKILL)
                assert process.stdout is not None
                with trio.fail_after(60):
                    said = b"".join([piece async for piece in process.stdout])
        result = json.loads(said)
        assert result["state"] == "connected"
        assert result["frames"] > 150
        assert result["tone"] > 0.8
        assert result["ended"] == 200
