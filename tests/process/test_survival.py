"""Spares replace the dead, relays are replaced under live calls, nobody holds what is not theirs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply
from tests.support.appliance import TREE, Appliance, is_worker, running_appliance
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process

_RELOAD = (sys.executable, "-m", "appliance.cli.main", "reload", "--json")
BATCH = 64
"""Datagrams that a relay may have read and not yet passed on when it is killed."""


def all_wait(status: StatusReply) -> bool:
    return len(status.spares) == 1 and all(spare.waiting for spare in status.spares)


async def spares(appliance: Appliance) -> dict[str, int]:
    """Process ids of the spares by role, once they all wait."""
    status = await appliance.until(all_wait)
    return {spare.role: spare.pid for spare in status.spares}


def row_is(name: str, pid: int) -> Callable[[StatusReply], bool]:
    return lambda s: any(w.name == name and w.pid == pid and w.state == "ready" for w in s.workers)


async def tandem_reload(appliance: Appliance, *options: str) -> tuple[int, dict[str, Any]]:
    done = await trio.run_process(
        [*_RELOAD, "--runtime-directory", str(appliance.directory), *options],
        capture_stdout=True,
        check=False,
        cwd=TREE,
    )
    return done.returncode, json.loads(done.stdout)


def rolled(reply: dict[str, Any]) -> list[str]:
    """Those that were replaced, in order."""
    return [name for name in reply["replaced"] if name.startswith("relay-")]


def edit(appliance: Appliance, old: str, new: str) -> None:
    file = appliance.directory / "tandem.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# --- spares ---------------------------------------------------------------------------------------


async def test_the_spare_takes_the_place_of_the_dead(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        waiting = await spares(appliance)
        os.kill((await appliance.worker("relay-0")).pid, signal.SIGKILL)
        await appliance.until(row_is("relay-0", waiting["relay"]))
        assert (await spares(appliance))["relay"] != waiting["relay"]


async def test_a_transceiver_is_replaced_without_one(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        waiting, dead = await spares(appliance), (await appliance.worker("transceiver-0")).pid
        os.kill(dead, signal.SIGKILL)
        await appliance.until(
            lambda s: s.state == "ready" and all(w.pid != dead for w in s.workers)
        )
        assert await spares(appliance) == waiting


async def test_a_dead_spare_is_replaced(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        pid = (await spares(appliance))["relay"]
        os.kill(pid, signal.SIGKILL)
        await appliance.until(lambda s: all_wait(s) and all(x.pid != pid for x in s.spares))
        assert (await appliance.status()).state == "ready"


async def test_a_spare_that_dies_with_the_worker_is_not_missed(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        spare = (await spares(appliance))["relay"]
        worker = (await appliance.worker("relay-0")).pid
        os.kill(spare, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        await appliance.until(
            lambda s: (
                s.state == "ready"
                and all_wait(s)
                and not {spare, worker} & {*(w.pid for w in s.workers), *(x.pid for x in s.spares)}
            )
        )


async def test_spares_end_with_the_supervisor_and_workers_do_not(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        waiting = await spares(appliance)
        workers = [worker.pid for worker in (await appliance.status()).workers]
        appliance.process.kill()
        appliance.process.wait()
        with trio.fail_after(60):
            while any(is_worker(pid) for pid in waiting.values()):
                await trio.sleep(0.02)
        assert all(is_worker(pid) for pid in workers)


async def test_a_drain_ends_them_too(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        waiting = await spares(appliance)
        appliance.signal(signal.SIGTERM)
        assert await appliance.wait() == 0
        assert not any(is_worker(pid) for pid in waiting.values())


async def test_an_operator_may_do_without_and_change_their_mind(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"supervisor": {"spares": False}}) as appliance:
        pid = (await appliance.worker("relay-0")).pid
        os.kill(pid, signal.SIGKILL)
        await appliance.until(lambda s: s.state == "ready" and all(w.pid != pid for w in s.workers))
        assert (await appliance.status()).spares == ()
        edit(appliance, "spares = false", "spares = true")
        code, _ = await tandem_reload(appliance)
        assert code == 0
        await spares(appliance)


# --- who holds what -------------------------------------------------------------------------------


def descriptors(pid: int) -> list[tuple[int, str]]:
    """Number and target of each open descriptor."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append((int(fd.name), str(fd.readlink())))
        except OSError:
            continue
    return found


def udp_sockets(pid: int) -> set[str]:
    """Its UDP sockets, as address:port:inode of the kernel's table; each socket has one inode."""
    inodes = {name[8:-1] for _, name in descriptors(pid) if name.startswith("socket:[")}
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return {f"{f[1]}:{f[9]}" for f in map(str.split, lines) if f[9] in inodes}


def tables(pid: int) -> dict[str, bool]:
    """Its tables of flows: name -> whether it may write."""
    found: dict[str, bool] = {}
    for fd, name in descriptors(pid):
        if name.startswith("/memfd:tandem-flows-"):
            flags = next(
                line
                for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines()
                if line.startswith("flags:")
            )
            name = name.removeprefix("/memfd:").removesuffix(" (deleted)")
            found[name] = found.get(name, False) or int(flags.split()[1], 8) & os.O_ACCMODE != 0
    return found


async def test_nobody_holds_a_siblings_socket_or_writes_its_table(tmp_path: Path) -> None:
    """A socket that one process reads and another one holds, too, would outlive its reader unread."""
    async with running_appliance(tmp_path, {"relay": {"workers": 3}}) as appliance:
        await spares(appliance)
        os.kill((await appliance.worker("relay-1")).pid, signal.SIGKILL)  # one by way of a spare
        await appliance.until(lambda s: s.state == "ready" and all_wait(s))
        code, reply = await tandem_reload(appliance, "--roll")
        assert (code, rolled(reply)) == (0, ["relay-0", "relay-1", "relay-2"])
        status = await appliance.until(all_wait)
        pids = {worker.name: worker.pid for worker in status.workers}
        relays = [pids[f"relay-{i}"] for i in range(3)]
        held = {name: udp_sockets(pid) for name, pid in pids.items()}
        port = f":{appliance.relay.port:04X}:"
        for i in range(3):
            mine = held[f"relay-{i}"]
            assert len(mine) == 3  # the public one, its link, and the link of what comes by TCP
            assert sum(port in name for name in mine) == 1
            others = (sockets for name, sockets in held.items() if name != f"relay-{i}")
            assert mine.isdisjoint(set().union(*others))
            assert tables(relays[i]) == {f"tandem-flows-{j}": i == j for j in range(3)}
        for name, sockets in held.items():
            if not name.startswith("relay-"):
                assert len(sockets) == name.startswith("transceiver-")
                assert not tables(pids[name])
        for spare in status.spares:
            names = [name for _, name in descriptors(spare.pid)]
            assert sum(name.startswith("socket:") for name in names) == 1, names
            assert not tables(spare.pid)


# --- live calls -----------------------------------------------------------------------------------


async def test_calls_hardly_notice_the_death_of_a_relay(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"relay": {"workers": 2}}) as appliance:
        await spares(appliance)
        async with live_calls(appliance) as calls:
            for name in ("relay-0", "relay-1"):
                waiting = await spares(appliance)
                os.kill((await appliance.worker(name)).pid, signal.SIGKILL)
                await appliance.until(row_is(name, waiting["relay"]))
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] <= BATCH


async def test_a_roll_loses_nothing(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"relay": {"workers": 2}}) as appliance:
        await spares(appliance)
        before = {worker.name: worker.pid for worker in (await appliance.status()).workers}
        async with live_calls(appliance) as calls:
            code, reply = await tandem_reload(appliance, "--roll")
            assert (code, rolled(reply)) == (0, ["relay-0", "relay-1"])
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert calls.report["packets_lost"] == 0
        workers = [w for w in (await appliance.status()).workers if w.name.startswith("relay-")]
        assert {w.name for w in workers if before[w.name] != w.pid} == {"relay-0", "relay-1"}
        assert [worker.restarts for worker in workers] == [0, 0]
        assert "did not release" not in appliance.log()


# --- reload ---------------------------------------------------------------------------------------


async def test_what_follows_from_a_changed_file(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        await spares(appliance)
        pids = [worker.pid for worker in (await appliance.status()).workers]
        code, reply = await tandem_reload(appliance)
        assert (code, reply["changes"], reply["replaced"]) == (0, [], [])

        edit(appliance, "drain_timeout = 2.0", 'drain_timeout = "soon"\nspare = 1')
        code, reply = await tandem_reload(appliance)
        assert code == 78
        assert [any(key in p for p in reply["problems"]) for key in ("drain_timeout", "spare")]
        assert [worker.pid for worker in (await appliance.status()).workers] == pids

        edit(appliance, 'drain_timeout = "soon"\nspare = 1', "drain_timeout = 1.0")
        edit(appliance, "[relay]\n", "[relay]\nflow_idle = 90.0\nmax_flows = 4096\n")
        code, reply = await tandem_reload(appliance)
        assert (code, reply["replaced"], reply["given_up"]) == (0, ["relay-0"], "")
        assert {c["key"]: (c["new"], c["effect"]) for c in reply["changes"]} == {
            "relay.flow_idle": ("90.0", "roll_workers"),
            "relay.max_flows": ("4096", "restart"),
            "supervisor.drain_timeout": ("1.0", "live"),
        }
        after = [worker.pid for worker in (await appliance.status()).workers]
        assert after[1:] == pids[1:]
        assert after[0] != pids[0]

        code, reply = await tandem_reload(appliance)
        assert (code, reply["replaced"]) == (0, [])
        assert [change["key"] for change in reply["changes"]] == ["relay.max_flows"]
