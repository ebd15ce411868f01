"""A supervisor that is killed in the middle of a roll: the next one finds every socket and ends nobody."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio

from ipc import roster
from ipc.messages.admin import StatusReply
from tests.process.test_adoption import TWO_RELAYS, kill, pids, successor
from tests.process.test_roll import states
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.child import child
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process

MOMENTS: Final[dict[str, Callable[[StatusReply], bool]]] = {
    "a successor has been born": lambda s: "transceiver-2" in states(s),
    "a successor has not joined": lambda s: states(s).get("transceiver-2") == "ready",
    "the relays' turn": lambda s: "signaling-1" in states(s) and states(s)["relay-0"] != "ready",
    "predecessors drain": lambda s: states(s)["transceiver-0"] == "draining",
}


@asynccontextmanager
async def roll_begun(appliance: Appliance) -> AsyncIterator[None]:
    """An operator who waits for the end of `tandem reload --roll`, and hears of none."""
    command = [sys.executable, "-m", "appliance.cli.main", "reload", "--roll"]
    command += ["--runtime-directory", str(appliance.directory)]
    async with child(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=TREE):
        yield


def group(appliance: Appliance) -> set[str]:
    """The sockets that share the public end point, as the kernel knows them."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if int(row[1].partition(":")[2], 16) == appliance.relay.port}


def kinds(status: StatusReply) -> Counter[str]:
    """Who serves, by role; whoever does anything else spoils it."""
    return Counter(w.role if w.state == "ready" else f"{w.name} {w.state}" for w in status.workers)


async def is_whole_again(
    appliance: Appliance, before: StatusReply, sockets: set[str]
) -> StatusReply:
    """Everybody who is wanted serves on the same sockets, and nobody else is left."""
    status = await appliance.until(lambda s: s.state == "ready" and kinds(s) == kinds(before))
    assert group(appliance) == sockets
    with trio.fail_after(60):
        while set(roster.living(appliance.directory / "workers").values()) != {
            worker.pid for worker in (await appliance.status()).workers
        }:
            await trio.sleep(0.05)
    assert "Traceback" not in appliance.log()
    return status


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_when(tmp_path: Path, moment: str) -> None:
    async with running_appliance(tmp_path, TWO_RELAYS) as appliance:
        before, sockets = await appliance.status(), group(appliance)
        async with live_calls(appliance) as calls:
            async with roll_begun(appliance):
                await appliance.until(MOMENTS[moment])
                kill(appliance)
            async with successor(appliance) as second:
                await calls.end(left=second)
                await is_whole_again(second, before, sockets)
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0, f"{calls.report}\n{appliance.log()}"


async def test_killed_at_any_moment(tmp_path: Path) -> None:
    after = random.uniform(0.0, 2.0)
    async with running_appliance(tmp_path, TWO_RELAYS) as appliance:
        before, sockets = await appliance.status(), group(appliance)
        async with live_calls(appliance) as calls:
            async with roll_begun(appliance):
                await trio.sleep(after)
                kill(appliance)
            async with successor(appliance) as second:
                await calls.end(left=second)
                await is_whole_again(second, before, sockets)
        said = f"killed after {after} s: {calls.report}\n{appliance.log()}"
        assert calls.report["sessions_ok"] == CALLS, said
        assert calls.report["packets_lost"] == 0, said


@pytest.mark.parametrize(("late", "tcp"), [(False, False), (True, False), (False, True)])
async def test_killed_before_a_relays_successor_is_born(
    tmp_path: Path, late: bool, tcp: bool
) -> None:
    """Only the released relay has its sockets then; `late`: the successor comes when all is over.

    What it had over TCP, it finds where it has left it.
    """
    options = ("--tcp",) if tcp else ()
    cold = {**TWO_RELAYS, "supervisor": {"spares": False}}
    async with running_appliance(tmp_path, cold) as appliance:
        before, sockets = await appliance.status(), group(appliance)
        released = pids(before)["relay-0"]
        async with live_calls(appliance, options=options) as calls:
            async with roll_begun(appliance):
                status = await appliance.until(lambda s: pids(s)["relay-0"] not in (0, released))
                unborn = pids(status)["relay-0"]
                os.kill(unborn, signal.SIGSTOP)
                kill(appliance)
            if not late:
                os.kill(unborn, signal.SIGKILL)
            async with successor(appliance) as second:
                if late:
                    os.kill(unborn, signal.SIGCONT)
                assert pids(await second.status())["relay-0"] == released
                await calls.end(left=second)
                await is_whole_again(second, before, sockets)
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0, f"{calls.report}\n{appliance.log()}"
        assert calls.report["tcp_reconnects"] == 0, f"{calls.report}\n{appliance.log()}"
        assert "its successor was not born" in appliance.log()
