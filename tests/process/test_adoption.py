"""A supervisor that is killed loses no session and no datagram: the next one adopts the workers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio

from ipc.messages.admin import StatusReply
from tests.process.test_survival import edit, tandem_reload
from tests.support.appliance import (
    Appliance,
    free_udp_port,
    is_worker,
    ready,
    restart_appliance,
    running_appliance,
)
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process

Config: TypeAlias = dict[str, dict[str, Any]]
TWO_RELAYS: Config = {"relay": {"workers": 2}, "transceiver": {"workers": 2}}


def pids(status: StatusReply) -> dict[str, int]:
    return {worker.name: worker.pid for worker in status.workers}


def kill(appliance: Appliance) -> None:
    appliance.process.kill()
    appliance.process.wait()


@asynccontextmanager
async def successor(
    appliance: Appliance, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Appliance]:
    """The next supervisor, ready; ended, with its workers, behind you."""
    following = restart_appliance(
        appliance.directory, appliance.relay, environment=environment or {}
    )
    try:
        yield await ready(following)
    finally:
        with trio.CancelScope(shield=True):
            await following.end()


async def test_workers_are_adopted_and_calls_notice_nothing(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, TWO_RELAYS) as appliance:
        before = await appliance.status()
        async with live_calls(appliance) as calls:
            kill(appliance)
            async with successor(appliance) as second:
                after = await second.status()
                assert pids(after) == pids(before)
                assert (after.listen, after.page) == (before.listen, before.page)
                assert len((await second.sessions()).rows) == CALLS
                kill(second)
                async with successor(appliance) as third:
                    assert pids(await third.status()) == pids(before)
                    async with live_calls(third, 3.0, path="/whip/echo") as more:
                        pass
                    assert more.report["sessions_ok"] == CALLS, more.report
                    await calls.end(left=third)
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0
        assert "Traceback" not in appliance.log()
        assert not any(is_worker(pid) for pid in pids(before).values())


async def test_what_the_file_says_meanwhile_is_a_reload(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        first = pids(await appliance.status())
        async with live_calls(appliance) as calls:
            kill(appliance)
            edit(appliance, "[relay]\n", "[relay]\nmax_flows = 4096\nflow_idle = 90.0\n")
            async with successor(appliance) as second:
                status = await second.until(
                    lambda s: s.state == "ready" and pids(s)["relay-0"] not in (0, first["relay-0"])
                )
                assert {n for n, pid in first.items() if pids(status)[n] != pid} == {"relay-0"}
                await second.until(lambda s: "configuration reloaded" in second.log())
                assert '"after_restart": ["relay.max_flows"]' in second.log()
                await calls.end(left=second)
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0


@pytest.mark.parametrize("text", ["[relay]\nwrokers = 1\n", "= no TOML"])
async def test_a_bad_file_is_reported_and_calls_go_on(tmp_path: Path, text: str) -> None:
    async with running_appliance(tmp_path) as appliance:
        first = pids(await appliance.status())
        file = appliance.directory / "tandem.toml"
        good = file.read_text()
        kill(appliance)
        file.write_text(text)
        # As under systemd: where a bad file says nothing, the environment does.
        runtime = {"RUNTIME_DIRECTORY": str(appliance.directory)}
        async with successor(appliance, runtime) as second:
            status = await second.until(lambda s: any("tandem.toml" in w for w in s.warnings))
            assert pids(status) == first
            assert "configuration not reloaded" in second.log()
            file.write_text(good)
            assert (await tandem_reload(second))[0] == 0
            assert not (await second.status()).warnings
            second.signal(signal.SIGTERM)
            assert await second.wait() == 0
        file.write_text(text)
        third = restart_appliance(appliance.directory, appliance.relay, environment=runtime)
        assert await third.wait() == 78


async def test_workers_that_serve_by_other_values_are_replaced(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        first = pids(await appliance.status())
        kill(appliance)
        (appliance.directory / "in-force.toml").unlink()
        edit(appliance, "[relay]\n", "[relay]\nmax_flows = 4096\n")
        async with successor(appliance) as second:
            status = await second.status()
            assert not set(pids(status).values()) & set(first.values())
            assert status.listen == (appliance.relay,)
            with trio.fail_after(60):
                while any(is_worker(pid) for pid in first.values()):
                    await trio.sleep(0.05)
            assert "works with another relay.max_flows" in second.log()


@pytest.mark.parametrize("name", ["relay-0", "transceiver-0", "signaling-0"])
async def test_who_died_with_the_supervisor_is_started(tmp_path: Path, name: str) -> None:
    config: Config = {**TWO_RELAYS, "signaling": {"listen": [f"127.0.0.1:{free_udp_port()}"]}}
    async with running_appliance(tmp_path, config) as appliance:
        before = await appliance.status()
        async with live_calls(appliance) as calls:
            lost = sum(row.worker == name for row in (await appliance.sessions()).rows)
            kill(appliance)
            os.kill(pids(before)[name], signal.SIGKILL)
            async with successor(appliance) as second:
                after = pids(await second.status())
                assert {n for n, pid in pids(before).items() if after[n] != pid} == {name}
                await calls.end(left=second)
        assert calls.report["sessions_failed"] <= lost, f"{calls.report}\n{appliance.log()}"


async def test_a_worker_that_is_stuck_is_killed_and_replaced(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = pids(await appliance.status())
        kill(appliance)
        os.kill(before["transceiver-0"], signal.SIGSTOP)
        async with successor(appliance) as second:
            after = pids(await second.status())
            assert {n for n, pid in before.items() if after[n] != pid} == {"transceiver-0"}
            assert "said nothing" in second.log()


async def test_an_adopted_worker_is_watched_replaced_and_drained(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = pids(await appliance.status())
        kill(appliance)
        async with successor(appliance) as second:
            os.kill(before["relay-0"], signal.SIGKILL)
            await second.until(
                lambda s: s.state == "ready" and pids(s)["relay-0"] not in (0, before["relay-0"])
            )
            assert "its exit code is unknown" in second.log()
            second.signal(signal.SIGTERM)
            assert await second.wait() == 0
            assert not any(is_worker(pid) for pid in before.values())
