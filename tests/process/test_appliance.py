"""The whole appliance with real processes: starts, survives any worker's death, ends in order."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest
import trio

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.stats import RelayStats
from tests.support.appliance import (
    Appliance,
    is_worker,
    restart_appliance,
    running_appliance,
    start_appliance,
)
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process


def row(status: StatusReply, name: str) -> WorkerStatus:
    return next(w for w in status.workers if w.name == name)


async def ready_code(appliance: Appliance) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{appliance.url}/readyz", timeout=60)).status_code


def link_sockets(pid: int) -> set[str]:
    """The sockets a process has open, by inode."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(fd.readlink()))
        except OSError:
            continue
    return {name for name in found if name.startswith("socket:")}


def tcp_listeners(pid: int) -> set[str]:
    """By inode, of the network that a process is in."""
    rows = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return {f"socket:[{fields[9]}]" for fields in map(str.split, rows) if fields[3] == "0A"}


async def test_starts_serves_and_drains(tmp_path: Path) -> None:
    config = {"relay": {"workers": 2}, "transceiver": {"workers": 2}}
    async with running_appliance(tmp_path, config) as appliance:
        status = await appliance.status()
        assert [w.name for w in status.workers] == [
            "relay-0",
            "relay-1",
            "transceiver-0",
            "transceiver-1",
            "signaling-0",
        ]
        assert {w.state for w in status.workers} == {"ready"}
        assert status.listen == status.advertise == (appliance.relay,)
        assert status.pid == appliance.pid
        assert await ready_code(appliance) == 200
        status = await appliance.until(lambda s: row(s, "relay-0").stats is not None)
        assert isinstance(row(status, "relay-0").stats, RelayStats)
        assert (await appliance.sessions()).rows == ()

        for worker in status.workers:
            command = Path(f"/proc/{worker.pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
            key = (appliance.directory / "state/ufrag.key").read_text().strip().encode()
            assert key not in command + environment
            limits = Path(f"/proc/{worker.pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 ", limits, re.MULTILINE)
            assert os.getsid(worker.pid) == worker.pid
        relays = [link_sockets(row(status, f"relay-{i}").pid) for i in (0, 1)]
        # A worker with a sibling's UDP socket would swallow what is meant for that one once it is dead.
        # The listener of ICE-TCP is everybody's: whoever lives accepts.
        assert relays[0] & relays[1] == relays[0] & tcp_listeners(row(status, "relay-0").pid)
        admin = appliance.directory / "admin.sock"
        assert admin.stat().st_mode & 0o777 == 0o660

        appliance.signal(signal.SIGTERM)
        assert await appliance.wait() == 0
        assert not any(is_worker(worker.pid) for worker in status.workers)
        assert not admin.exists()
        log = appliance.log()
        assert "rejected" not in log
        assert "Traceback" not in log


@pytest.mark.parametrize("name", ["relay-0", "transceiver-0", "signaling-0"])
async def test_a_killed_worker_is_replaced_on_the_same_addresses(tmp_path: Path, name: str) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = await appliance.status()
        pids = {worker.name: worker.pid for worker in before.workers}
        os.kill(pids[name], signal.SIGKILL)
        after = await appliance.until(
            lambda s: s.state == "ready" and row(s, name).pid not in (0, pids[name])
        )
        assert row(after, name).restarts == 1
        assert {w.name: w.pid for w in after.workers if w.name != name} == {
            n: pid for n, pid in pids.items() if n != name
        }
        assert (after.listen, after.page) == (before.listen, before.page)
        assert await ready_code(appliance) == 200
        assert "killed by signal 9" in appliance.log()
        appliance.signal(signal.SIGINT)
        assert await appliance.wait() == 0


async def test_a_stuck_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        pid = (await appliance.worker("transceiver-0")).pid
        os.kill(pid, signal.SIGSTOP)
        await appliance.until(
            lambda s: s.state == "ready" and row(s, "transceiver-0").pid not in (0, pid)
        )
        assert "no heartbeat for" in appliance.log()


async def test_a_worker_that_an_operator_ends_is_replaced(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        pid = (await appliance.worker("transceiver-0")).pid
        os.kill(pid, signal.SIGTERM)
        await appliance.until(
            lambda s: s.state == "ready" and row(s, "transceiver-0").pid not in (0, pid)
        )


async def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"supervisor": {"drain_timeout": 3600.0}}) as appliance:
        pid = (await appliance.worker("transceiver-0")).pid
        os.kill(pid, signal.SIGSTOP)  # it cannot drain
        appliance.signal(signal.SIGTERM)
        await appliance.until(lambda s: s.state == "draining")
        appliance.signal(signal.SIGTERM)
        assert await appliance.wait() == 0


async def test_workers_outlive_a_dead_supervisor_and_drain_without_one(tmp_path: Path) -> None:
    config = {"supervisor": {"orphan_timeout": 6.0}}
    async with running_appliance(tmp_path, config) as appliance:
        status = await appliance.status()
        pids = [worker.pid for worker in status.workers]
        appliance.process.kill()
        appliance.process.wait()
        assert all(is_worker(pid) for pid in pids)
        assert await ready_code(appliance) in (200, 503)
        with trio.fail_after(60):
            while any(is_worker(pid) for pid in pids):
                await trio.sleep(0.1)
        assert "orphaned" in appliance.log()


async def test_it_starts_with_less_precedence_than_it_gives_itself(tmp_path: Path) -> None:
    """A unit with Nice=15, say: whoever is no root may not take that back."""
    unable = ("setpriv", "--bounding-set=-sys_nice") if os.geteuid() == 0 else ()
    async with running_appliance(tmp_path, prefix=("nice", "-n", "15", *unable)) as appliance:
        relay = await appliance.worker("relay-0")
        assert (relay.state, relay.restarts, relay.note) == ("ready", 0, "native")


async def test_a_second_supervisor_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        second = restart_appliance(appliance.directory, appliance.relay)
        assert await second.wait() == 69
        assert f"another supervisor (process {appliance.pid})" in second.log()
        assert (await appliance.status()).state == "ready"


async def test_an_address_in_use_is_named_at_once(tmp_path: Path, short_directory: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        config = {"relay": {"listen": [str(appliance.relay)]}}
        second = start_appliance(short_directory, config)
        assert await second.wait() == 69
        assert f"relay.listen[0]: {appliance.relay} is in use" in second.log()


async def test_a_key_that_cannot_be_used_is_the_operators_to_mend(short_directory: Path) -> None:
    keys = {"ufrag": {"keys": {"1": str(short_directory / "absent")}}}
    appliance = start_appliance(short_directory, keys)
    assert await appliance.wait() == 78
    assert "ufrag.keys.1: " in appliance.log()


async def test_the_public_port_is_never_free_while_a_relay_is_replaced(tmp_path: Path) -> None:
    """What is sent to a relay between its death and its successor waits in the kernel."""
    async with running_appliance(tmp_path) as appliance:
        pid = (await appliance.worker("relay-0")).pid
        os.kill(pid, signal.SIGKILL)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(appliance.relay)
            for _ in range(10):
                client.send(b"\x00")  # a closed port would answer ECONNREFUSED by the second one

        def counted(status: StatusReply) -> bool:
            relay = row(status, "relay-0")
            stats = relay.stats
            return relay.pid != pid and isinstance(stats, RelayStats) and stats.received >= 10

        await appliance.until(counted)
