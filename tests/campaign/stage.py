"""An appliance with calls on it, and hands that do to it what the plan says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, assert_never

import msgspec
import trio

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.stats import RelayStats, TransceiverStats
from tests.campaign.judge import Attempt, Evidence, Group, Process
from tests.campaign.plan import Fault, Kind
from tests.campaign.weather import Network, Weather, network
from tests.support.appliance import (
    TREE,
    Appliance,
    ready,
    restart_appliance,
    start_appliance,
)

SERVICE: Final = TREE / "tests/process/echo_service.py"
BACKENDS: Final = 2
ROUGH: Final = 8
"""Calls through bad weather."""
AGENT: Final = 8
"""Calls to a back end that may die."""
PROBES: Final = 5
CALM: Final = 4.0
"""Seconds between the last fault and the end of the calls."""
NEWS_ARE_OLD: Final = 4.0
"""Seconds after which the statistics of a transceiver know that a back end has died."""
RECOVERS_WITHIN: Final = 45.0
_RELOAD: Final = (sys.executable, "-m", "appliance.cli.main", "reload", "--json")
_WEATHER: Final = {
    Kind.LOSS: Weather.LOSS,
    Kind.DUPLICATION: Weather.DUPLICATION,
    Kind.DISORDER: Weather.DISORDER,
    Kind.DAMAGE: Weather.DAMAGE,
}
_ROLE: Final = {
    Kind.KILL_RELAY: "relay",
    Kind.KILL_TRANSCEIVER: "transceiver",
    Kind.KILL_SIGNALING: "signaling",
    Kind.STOP_RELAY: "relay",
    Kind.STOP_TRANSCEIVER: "transceiver",
    Kind.STOP_SIGNALING: "signaling",
}


class Caller:
    """A process with calls."""

    def __init__(self, name: str, keeps_messages: bool, url: str, count: int, ports: str) -> None:
        self.name = name
        self._keeps_messages = keeps_messages
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.calls", url, str(count), ports],
            stdout=subprocess.PIPE,
            cwd=TREE,
            text=True,
        )

    async def connected(self) -> None:
        """Wait until all of its calls are."""
        stream = self._process.stdout
        assert stream is not None
        with trio.fail_after(60):
            line = await trio.to_thread.run_sync(stream.readline, abandon_on_cancel=True)
        assert line == "connected\n", line

    async def end(self) -> Group:
        """Hang up, and tell what became of the calls."""
        self._process.send_signal(signal.SIGINT)
        with trio.fail_after(60):
            out, _ = await trio.to_thread.run_sync(
                self._process.communicate, abandon_on_cancel=True
            )
        attempts = msgspec.convert(json.loads(out), tuple[Attempt, ...])
        return Group(self.name, attempts, self._keeps_messages)

    def kill(self) -> None:
        """Behind you."""
        self._process.kill()
        self._process.wait()


class Stage:
    """What is there to be harmed."""

    def __init__(self, appliance: Appliance, weather: Network, agents: Path, calls: int) -> None:
        self.appliance = appliance
        self.doomed: set[str] = set()
        self._weather = weather
        self._agents = agents
        self._calls = calls
        self._services: list[subprocess.Popen[bytes]] = []
        self._callers: list[Caller] = []
        self._relays = 2
        self._unconserved: set[str] = set()
        self._logs = ""

    # --- before and after ---------------------------------------------------------------------------

    async def begin(self) -> None:
        """All calls connect."""
        for index in range(BACKENDS):
            self._services.append(self._service(index))
        url = self.appliance.url
        relay, proxy = self.appliance.relay.port, self._weather.address[1]
        self._callers = [
            Caller("calls", True, f"{url}/whip/echo", self._calls, ""),
            Caller("rough", True, f"{url}/whip/echo", ROUGH, f"{relay}:{proxy}"),
            Caller("agent", False, f"{url}/whip/agent", AGENT, ""),
        ]
        await self.appliance.until(_all_heard, RECOVERS_WITHIN)
        for caller in self._callers:
            await caller.connected()

    async def held(self) -> dict[int, Process]:
        """What each process holds, when all workers serve."""
        status = await self.appliance.until(_all_ready, RECOVERS_WITHIN)
        pids = [status.pid, *(worker.pid for worker in status.workers)]
        return {pid: held for pid in pids if (held := _held(pid)) is not None}

    async def end(self, before: dict[int, Process]) -> Evidence:
        """Wait until all is well, and hang up."""
        self._weather.weather = Weather.FAIR
        not_ready: list[str] = []
        after: dict[int, Process] = {}
        try:
            after = await self.held()
        except AssertionError:
            with suppress(Exception):
                not_ready = _not_ready(await self.appliance.status())
            not_ready = not_ready or ["the appliance"]
        await trio.sleep(CALM)
        probes = await self._probe()
        groups = tuple([await caller.end() for caller in self._callers])
        with suppress(Exception):
            self._look_at_counters(await self.appliance.status())
        log = self.appliance.log()
        return Evidence(
            groups, self.doomed, before, after, self._unconserved, not_ready, probes, log
        )

    def close(self) -> None:
        """Nothing of it is left."""
        for caller in self._callers:
            caller.kill()
        for service in self._services:
            service.kill()
            service.wait()

    async def _probe(self) -> int:
        """Calls that are placed now; how many fail."""
        command = [sys.executable, "-m", "workers.caller", f"{self.appliance.url}/whip/echo"]
        command += ["--count", str(PROBES), "--seconds", "1", "--json"]
        done = await trio.run_process(command, capture_stdout=True, check=False, cwd=TREE)
        return int(json.loads(done.stdout)["sessions_failed"])

    def _service(self, index: int) -> subprocess.Popen[bytes]:
        endpoint = f"ipc://{self._agents}/{index}.sock"
        return subprocess.Popen([sys.executable, str(SERVICE), endpoint], cwd=TREE)

    # --- faults --------------------------------------------------------------------------------------

    async def carry_out(self, fault: Fault) -> str:
        """Do it, and see it through; who was hit."""
        kind = fault.kind
        match kind:
            case Kind.KILL_RELAY | Kind.KILL_TRANSCEIVER | Kind.KILL_SIGNALING:
                return await self._kill(fault)
            case Kind.STOP_RELAY | Kind.STOP_TRANSCEIVER | Kind.STOP_SIGNALING:
                worker = await self._victim(fault)
                await _stop(worker.pid, fault.seconds)
                return worker.name
            case Kind.STOP_SUPERVISOR:
                await _stop(self.appliance.pid, fault.seconds)
            case Kind.KILL_SUPERVISOR:
                await self._kill_supervisor()
            case Kind.KILL_BACKEND:
                index = int(fault.choice * BACKENDS)
                self._services[index].kill()
                self._services[index].wait()
                await trio.sleep(fault.seconds)
                self._services[index] = self._service(index)
                # The table of what may be lost has no row for all of them gone at once. What is told of
                # them now may be of before.
                await trio.sleep(NEWS_ARE_OLD)
                await self.appliance.until(_all_heard, RECOVERS_WITHIN)
                return f"back end {index}"
            case Kind.ROLL:
                return await self._reload("--roll")
            case Kind.BAD_FILE:
                return await self._with_file("[relay]\nwrokers = 3\n")
            case Kind.MORE_RELAYS:
                self._relays = 3 if self._relays == 2 else 2
                return await self._with_workers(self._relays)
            case Kind.LOSS | Kind.DUPLICATION | Kind.DISORDER | Kind.DAMAGE:
                self._weather.weather = _WEATHER[kind]
                await trio.sleep(fault.seconds)
                self._weather.weather = Weather.FAIR
            case Kind.STRANGERS:
                await trio.to_thread.run_sync(_strangers, self.appliance.relay, fault.seconds)
            case Kind.JUNK_HTTP:
                await trio.to_thread.run_sync(_junk, self.appliance.url, fault.seconds)
            case _ as never:
                assert_never(never)
        return ""

    async def _victim(self, fault: Fault) -> WorkerStatus:
        role = _ROLE[fault.kind]

        def there(status: StatusReply) -> bool:
            return any(w.name.startswith(role) and w.pid for w in status.workers)

        status = await self.appliance.until(there)
        self._look_at_counters(status)
        workers = [w for w in status.workers if w.name.startswith(role) and w.pid]
        return workers[int(fault.choice * len(workers))]

    async def _kill(self, fault: Fault) -> str:
        worker = await self._victim(fault)
        if fault.kind is Kind.KILL_TRANSCEIVER:
            rows = (await self.appliance.sessions()).rows
            self.doomed |= {row.session for row in rows if row.worker == worker.name}
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        return worker.name

    async def _kill_supervisor(self) -> None:
        old = self.appliance
        old.process.kill()
        old.process.wait()
        self.appliance = restart_appliance(old.directory, old.relay)
        self.appliance.url, self.appliance.page = old.url, old.page
        await self.appliance.until(lambda status: status.state in ("ready", "degraded"))

    async def _reload(self, *options: str) -> str:
        where = ("--runtime-directory", str(self.appliance.directory))
        with trio.move_on_after(RECOVERS_WITHIN):
            done = await trio.run_process(
                [*_RELOAD, *where, *options],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=TREE,
            )
            return f"exit code {done.returncode}"
        return "not done in time"

    async def _with_file(self, text: str) -> str:
        """Reload with another file, then the old one is back."""
        file = self.appliance.directory / "tandem.toml"
        good = file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        try:
            return await self._reload()
        finally:
            file.write_text(good, encoding="utf-8")

    async def _with_workers(self, relays: int) -> str:
        file = self.appliance.directory / "tandem.toml"
        text = file.read_text(encoding="utf-8")
        before = 5 - relays
        file.write_text(
            text.replace(f"workers = {before}\n", f"workers = {relays}\n", 1), encoding="utf-8"
        )
        return f"{relays} relays, {await self._reload()}"

    def _look_at_counters(self, status: StatusReply) -> None:
        self._unconserved |= {
            worker.name
            for worker in status.workers
            if isinstance(worker.stats, RelayStats) and not worker.stats.conserved
        }


@asynccontextmanager
async def stage(directory: Path, seed: int, calls: int) -> AsyncIterator[Stage]:
    """A running one, ended behind you."""
    agents = directory / "agents"
    agents.mkdir()
    settings: dict[str, dict[str, Any]] = {
        "relay": {"workers": 2, "receive_buffer": 4_194_304},
        "transceiver": {"workers": 2},
        "signaling": {"listen": [f"127.0.0.1:{_free_port()}"], "calls_per_minute": 0},
        "backends": {"endpoints": {"agent": [f"ipc://{agents}/{n}.sock" for n in range(BACKENDS)]}},
        "supervisor": {"drain_timeout": 5.0},
    }
    appliance = start_appliance(directory, settings)
    async with AsyncExitStack() as stack:
        weather = stack.enter_context(network((appliance.relay.host, appliance.relay.port), seed))
        scene = Stage(appliance, weather, agents, calls)
        try:
            await ready(appliance)
            await scene.begin()
            yield scene
        finally:
            scene.close()
            with trio.CancelScope(shield=True):
                await scene.appliance.end()


# --- what is done -----------------------------------------------------------------------------------------


def _all_ready(status: StatusReply) -> bool:
    return status.state == "ready" and not _not_ready(status)


def _all_heard(status: StatusReply) -> bool:
    """Each transceiver hears each back end."""
    seen = [w.stats.backends for w in status.workers if isinstance(w.stats, TransceiverStats)]
    return bool(seen) and all(
        len(each.get("agent", {})) == BACKENDS and all(end.live for end in each["agent"].values())
        for each in seen
    )


def _not_ready(status: StatusReply) -> list[str]:
    """Workers that do not serve. One that drains has a successor, or is one too many."""
    return [worker.name for worker in status.workers if worker.state not in ("ready", "draining")]


async def _stop(pid: int, seconds: float) -> None:
    """Let a process stand still."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _strangers(relay: tuple[str, int], seconds: float) -> None:
    """Noise, and checks with ufrags of nobody; some thousands a second."""
    check = bytes.fromhex("000100202112a442") + os.urandom(12) + b"\x00\x06\x00\x1c"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(20):
                for datagram in (check + os.urandom(28), os.urandom(60), b"\x80" + os.urandom(40)):
                    sock.sendto(datagram, tuple(relay))
            time.sleep(0.01)


def _junk(url: str, seconds: float) -> None:
    """Connections that stay silent, break off, or send what is no request."""
    host, port = url.removeprefix("http://").split(":")
    words = (
        b"",
        b"GET ",
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        os.urandom(99),
    )
    opened: list[socket.socket] = []
    with suppress(OSError):
        for number in range(80):
            sock = socket.create_connection((host, int(port)), timeout=2)
            opened.append(sock)
            sock.sendall(words[number % len(words)])
    time.sleep(seconds)
    for sock in opened:
        sock.close()


def _held(pid: int) -> Process | None:
    try:
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return Process(descriptors, pages * os.sysconf("SC_PAGE_SIZE"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


Until = Callable[[StatusReply], bool]
