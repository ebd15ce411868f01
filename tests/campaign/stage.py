"""An appliance and all around it that can fail: calls, back ends, disk, clock, log, Redis, network."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from ipc.messages.admin import StatusReply
from ipc.messages.stats import TransceiverStats
from ipc.rpc import RpcFailed, RpcTimeout
from tests.campaign import clock, room
from tests.campaign.callers import Caller
from tests.campaign.judge import Group
from tests.campaign.log_reader import LogReader
from tests.campaign.registry import Registry, registry
from tests.campaign.watch import EVERY, WARM, Watch
from tests.campaign.weather import Network, network
from tests.support.appliance import (
    TREE,
    Appliance,
    free_tcp_port,
    ready,
    restart_appliance,
    start_appliance,
)
from tests.support.hosts import KEY
from tests.support.redis_server import has_redis
from tests.support.release import install
from workers.wire.types import Malformed
from workers.wire.ufrag import UfragKeys

SERVICE: Final = TREE / "tests/process/echo_service.py"
BACKENDS: Final = 2
TALKERS: Final = 40
"""Calls that speak; what is beyond only writes, which costs the machine less."""
PER_PROCESS: Final = 40
ROUGH: Final = 8
"""Calls through bad weather."""
AGENT: Final = 8
"""Calls to a back end that may die."""
RECOVERS_WITHIN: Final = 60.0
ALONE_WITHIN: Final = 15.0
_CLI: Final = (sys.executable, "-m", "appliance.cli.main")


class Stage:
    """What is there to be harmed."""

    def __init__(self, directory: Path, seed: int, calls: int) -> None:
        """`directory`: where everything is that leaves no trace."""
        self.calls = calls
        self.seed = seed
        self.watch = Watch()
        self.callers: list[Caller] = []
        self.services: list[subprocess.Popen[bytes]] = []
        self.release = 1
        self.tree = directory / "tree"
        self.house = directory / "house"
        """Runtime and state directory, on a disk of its own if that can be had."""
        self.house.mkdir()
        self.disk: room.SmallDisk | None = None
        self.clock: clock.SteppingClock | None = None
        self.registry: Registry | None = None
        self.weather: Network
        self.appliance: Appliance
        self._is_started = False
        self._agents = directory / "agents"
        self._agents.mkdir()
        self._key = directory / "ufrag.hex"
        self._key.write_text(KEY)
        self._key.chmod(0o600)
        self._ids = UfragKeys({"a": bytes.fromhex(KEY)}, "a")
        clocked = directory / "python"
        clocked.mkdir()
        if compiler := clock.compiler():
            self.clock = clock.SteppingClock(clocked, compiler)
        if room.is_inside():
            self.disk = room.SmallDisk(self.house)
        self.log = LogReader(directory)
        # An operator's things are on another disk.
        for name in ("tandem.toml", "stderr"):
            (self.house / name).symlink_to(directory / name)
        install(self.tree, f"{self.release}.0.0")

    # --- the appliance ------------------------------------------------------------------------------

    @property
    def _way(self) -> dict[str, Any]:
        python = str(self.clock.python) if self.clock else sys.executable
        return {"tree": self.tree, "prefix": self.log.prefix, "python": python}

    async def start(self) -> None:
        """It is ready."""
        settings: dict[str, dict[str, Any]] = {
            "relay": {"workers": 2, "receive_buffer": 4_194_304, "max_pending": 4096},
            "link": {"address": room.LINK},
            "transceiver": {"workers": 2, "max_sessions": 1000},
            "ufrag": {"keys": {"a": str(self._key)}},
            "signaling": {
                "listen": [f"127.0.0.1:{free_tcp_port()}"],
                "calls_per_minute": 0,
                "request_timeout": 10.0,
            },
            "backends": {
                "endpoints": {"agent": [self._endpoint(n) for n in range(BACKENDS)]},
            },
            # Nobody is there: the process is, and can be killed.
            "realtime": {"url": "wss://127.0.0.1:9/v1/realtime"},
            "supervisor": {"drain_timeout": 5.0, "roll_timeout": 3600.0},
            "ops": {"listen": [f"127.0.0.1:{free_tcp_port()}"]},
        }
        if self.registry is not None:
            settings["redis"] = {"url": self.registry.url}
        self.services = [self.service(index) for index in range(BACKENDS)]
        self.appliance = start_appliance(self.house, settings, **self._way)
        self._is_started = True
        await ready(self.appliance)

    async def revive(self) -> None:
        """A supervisor again, as systemd sees to it: tried until one stays."""
        old = self.appliance
        with trio.fail_after(RECOVERS_WITHIN):
            while True:
                self.appliance = restart_appliance(self.house, old.relay, **self._way)
                self.appliance.url, self.appliance.page = old.url, old.page
                while self.appliance.process.poll() is None:
                    with suppress(RpcTimeout, RpcFailed):
                        if (await self.status()).state in ("ready", "degraded"):
                            return
                    await trio.sleep(0.05)
                await trio.sleep(0.1)

    async def found(self, condition: Callable[[StatusReply], bool]) -> StatusReply:
        """The first status for which that holds, though supervisors are killed meanwhile."""
        return await self.appliance.until(condition, RECOVERS_WITHIN, mortal=True)

    async def status(self) -> StatusReply:
        """Asked now. Raises RpcTimeout, RpcFailed."""
        return await self.appliance.status(within=2.0)

    async def until_well(self) -> StatusReply:
        """Wait until all workers serve."""
        return await self.appliance.until(_all_ready, RECOVERS_WITHIN)

    async def until_alone(self) -> StatusReply:
        """Wait until all workers serve, and nobody else is there. AssertionError if that takes too long.

        A relay that leaves takes as long as a client may be silent: it is not waited for.
        """
        status = await self.appliance.until(_only_relays_leave, ALONE_WITHIN)
        if any(worker.state == "draining" for worker in status.workers):
            raise AssertionError("a relay is leaving")
        return status

    async def tandem(self, *words: str) -> tuple[int, str]:
        """A command of the operator's: exit code, and what it said."""
        where = ("--json", "--runtime-directory", str(self.house))
        with trio.move_on_after(RECOVERS_WITHIN):
            done = await trio.run_process(
                [*_CLI, *words, *where],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=TREE,
            )
            return done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip()
        return -1, f"not done within {RECOVERS_WITHIN:.0f} s"

    @property
    def file(self) -> Path:
        """The operator's."""
        return self.house / "tandem.toml"

    def epoch(self, session: str) -> int:
        """The boot of the transceiver that had it; -1 if it is no session."""
        try:
            return self._ids.decode(session.rpartition("_")[2]).epoch
        except Malformed:
            return -1

    # --- the others ---------------------------------------------------------------------------------

    async def place(self) -> None:
        """All calls connect, and what they need is warm."""
        url = self.appliance.url
        relay, proxy = self.appliance.relay.port, self.weather.address[1]
        left, speaks = self.calls, min(self.calls, TALKERS)
        while left > 0:
            here = min(left, PER_PROCESS)
            name = f"{'talk' if speaks else 'write'}-{len(self.callers)}"
            self.callers.append(Caller(name, f"{url}/whip/echo", here, speaks=speaks > 0))
            left, speaks = left - here, max(0, speaks - here)
        rough = f"{relay}:{proxy}"
        self.callers.append(Caller("rough", f"{url}/whip/echo", ROUGH, ports=rough))
        async with trio.open_nursery() as nursery:
            for caller in self.callers:
                nursery.start_soon(caller.connected)
            await self.until_heard()
            agent = Caller("agent", f"{url}/whip/agent", AGENT, keeps_messages=False)
            self.callers.append(agent)
            nursery.start_soon(agent.connected)
        status = await self.until_well()
        for _ in range(WARM):
            self.watch.look(status)

    async def look(self) -> None:
        """Again and again, whenever somebody answers."""
        while True:
            with suppress(RpcTimeout, RpcFailed):
                self.watch.look(await self.status())
            await trio.sleep(EVERY)

    async def until_heard(self) -> None:
        """Each transceiver hears each back end, by what it says now."""
        since = time.monotonic()
        await self.appliance.until(lambda status: _all_heard(status, since), RECOVERS_WITHIN)

    def service(self, index: int) -> subprocess.Popen[bytes]:
        """A back end."""
        return subprocess.Popen([sys.executable, str(SERVICE), self._endpoint(index)], cwd=TREE)

    async def probe(self, calls: int) -> int:
        """Calls that are placed now; how many fail."""
        command = [sys.executable, "-m", "workers.caller", f"{self.appliance.url}/whip/echo"]
        command += ["--count", str(calls), "--seconds", "1", "--json"]
        done = await trio.run_process(command, capture_stdout=True, check=False, cwd=TREE)
        return int(json.loads(done.stdout)["sessions_failed"])

    async def hang_up(self) -> tuple[Group, ...]:
        """All calls end; what became of them."""
        groups: list[Group] = []

        async def end(caller: Caller) -> None:
            groups.append(await caller.end())

        async with trio.open_nursery() as nursery:
            for caller in self.callers:
                nursery.start_soon(end, caller)
        return tuple(groups)

    async def close(self) -> None:
        """Nothing of it is left."""
        for caller in self.callers:
            caller.kill()
        for service in self.services:
            service.kill()
            service.wait()
        if self._is_started:
            with trio.CancelScope(shield=True):
                await self.appliance.end()

    def _endpoint(self, index: int) -> str:
        return f"ipc://{self._agents}/{index}.sock"


@asynccontextmanager
async def stage(directory: Path, seed: int, calls: int) -> AsyncIterator[Stage]:
    """With an appliance that is ready; ended behind you."""
    async with AsyncExitStack() as stack:
        scene = Stage(directory, seed, calls)
        stack.callback(scene.log.close)
        if scene.disk is not None:
            stack.callback(scene.disk.close)
        if scene.clock is not None:
            stack.callback(scene.clock.close)
        if has_redis():
            scene.registry = await stack.enter_async_context(registry())
        stack.push_async_callback(scene.close)
        await scene.start()
        relay = scene.appliance.relay
        scene.weather = stack.enter_context(network((relay.host, relay.port), seed))
        yield scene


def _all_ready(status: StatusReply) -> bool:
    return status.state == "ready" and not not_ready(status)


def _only_relays_leave(status: StatusReply) -> bool:
    leaving = (worker.role for worker in status.workers if worker.state != "ready")
    return _all_ready(status) and all(role == "relay" for role in leaving)


def not_ready(status: StatusReply) -> list[str]:
    """Workers that do not serve. One that drains has a successor, or is one too many."""
    return [worker.name for worker in status.workers if worker.state not in ("ready", "draining")]


def _all_heard(status: StatusReply, since: float) -> bool:
    rows = [row for row in status.workers if row.role == "transceiver" and row.state == "ready"]
    return bool(rows) and all(
        isinstance(row.stats, TransceiverStats)
        and row.stats.usage.at > since
        and _live(row.stats) == BACKENDS
        for row in rows
    )


def _live(stats: TransceiverStats) -> int:
    return sum(end.live for end in stats.backends.get("agent", {}).values())
