"""Hands that do to an appliance what the plan says."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from typing import Final, assert_never

import trio

from ipc.messages.admin import WorkerStatus
from tests.campaign import clock, room
from tests.campaign.plan import Fault, Kind
from tests.campaign.registry import Way
from tests.campaign.stage import BACKENDS, Stage
from tests.campaign.weather import Weather
from tests.support.redis_server import has_redis
from tests.support.release import break_module, install

_ROLE: Final = {
    Kind.KILL_RELAY: "relay",
    Kind.KILL_TRANSCEIVER: "transceiver",
    Kind.KILL_SIGNALING: "signaling",
    Kind.STOP_RELAY: "relay",
    Kind.STOP_TRANSCEIVER: "transceiver",
    Kind.STOP_SIGNALING: "signaling",
}
_ONLOOKERS: Final = ("fleet", "telemetry", "realtime")
_WEATHER: Final = {
    Kind.LOSS: Weather.LOSS,
    Kind.DUPLICATION: Weather.DUPLICATION,
    Kind.DISORDER: Weather.DISORDER,
    Kind.DAMAGE: Weather.DAMAGE,
}
ENOUGH: Final = "still finish old sessions"
"""Calls outlive the campaign, so whoever was replaced stays: after four times nobody else is, until some
end (appliance/supervisor/core/alteration.py). That is said, and nothing changes."""
_BAD_FILES: Final = (
    "[relay]\nwrokers = 3\n",
    "[relay\n",
    "[transceiver]\nmax_sessions = -4\n",
    "\x00\xff",
    "[backends]\ndefault = 'nobody'\n",
    "",  # it is not there at all
)
_CHANGES: Final = (
    ("max_sessions", "1000", "1100"),
    ("request_timeout", "10.0", "11.0"),
    ("max_pending", "4096", "8192"),
    ("roll_timeout", "3600.0", "3700.0"),
)
"""Keys of the file and their values; who has to be replaced for it is another one each time."""


def lacking() -> dict[Kind, str]:
    """What this machine cannot do, and why."""
    found: dict[Kind, str] = {}
    if not room.is_inside():
        why = "needs namespaces (root, or user namespaces)"
        found |= dict.fromkeys((Kind.FULL_DISK, Kind.NO_INODES), why)
    if why := room.why_no_lossy_link():
        found[Kind.LINK_LOSS] = why
    if clock.compiler() is None:
        found[Kind.CLOCK] = "needs cc"
    if not has_redis():
        kinds = (Kind.KILL_REDIS, Kind.STOP_REDIS, Kind.CUT_REDIS, Kind.JUNK_REDIS)
        found |= dict.fromkeys(kinds, "needs redis-server")
    return found


class Hands:
    """They never give up: what goes otherwise than it has to is a complaint."""

    def __init__(self, stage: Stage) -> None:
        self.doomed: set[int] = set()
        """Epochs of transceivers that were killed."""
        self.complaints: list[str] = []
        self._stage = stage
        self._link = room.LossyLink()
        self._disk_is_full = False
        self._fills = 0
        """How often it was."""

    async def carry_out(self, fault: Fault) -> str:
        """Do it, and see it through; says who was hit, or what was said."""
        stage, kind = self._stage, fault.kind
        match kind:
            case Kind.KILL_RELAY | Kind.KILL_TRANSCEIVER | Kind.KILL_SIGNALING:
                return await self._kill(fault, _ROLE[kind])
            case Kind.STOP_RELAY | Kind.STOP_TRANSCEIVER | Kind.STOP_SIGNALING:
                return await self._stop_worker(fault, _ROLE[kind])
            case Kind.KILL_ONLOOKER:
                return await self._kill(fault, *_ONLOOKERS)
            case Kind.STOP_ONLOOKER:
                return await self._stop_worker(fault, *_ONLOOKERS)
            case Kind.KILL_SPARE:
                return await self._kill_spare(fault)
            case Kind.KILL_SUPERVISOR:
                stage.appliance.process.kill()
                stage.appliance.process.wait()
                await stage.revive()
            case Kind.STOP_SUPERVISOR:
                await _stop(stage.appliance.pid, fault.seconds)
            case Kind.KILL_BACKEND | Kind.STOP_BACKEND:
                return await self._hurt_backend(fault)
            case Kind.STOP_CALLERS:
                caller = stage.callers[int(fault.choice * len(stage.callers))]
                await _stop(caller.pid, fault.seconds)
                return caller.name
            case Kind.STOP_LOG:
                stage.log.reads.clear()
                await trio.sleep(fault.seconds)
                stage.log.reads.set()
            case Kind.ROLL:
                return await self._ask("reload", "--roll")
            case Kind.MORE_RELAYS | Kind.GOOD_FILE:
                return await self._change(fault)
            case Kind.BAD_FILE:
                return await self._bad_file(fault)
            case Kind.UPGRADE:
                return await self._upgrade()
            case Kind.BAD_UPGRADE:
                return await self._bad_upgrade()
            case Kind.FULL_DISK | Kind.NO_INODES:
                await self._fill(fault)
            case Kind.CLOCK:
                assert stage.clock is not None
                return stage.clock.step(fault.choice)
            case Kind.KILL_REDIS | Kind.STOP_REDIS | Kind.CUT_REDIS | Kind.JUNK_REDIS:
                await self._hurt_redis(fault)
            case Kind.LOSS | Kind.DUPLICATION | Kind.DISORDER | Kind.DAMAGE:
                stage.weather.weather = _WEATHER[kind]
                await trio.sleep(fault.seconds)
                stage.weather.weather = Weather.FAIR
            case Kind.LINK_LOSS:
                self._link.begin()
                await trio.sleep(fault.seconds)
                self._link.end()
            case Kind.STRANGERS:
                await trio.to_thread.run_sync(_strangers, stage.appliance.relay, fault.seconds)
            case Kind.JUNK_HTTP:
                await trio.to_thread.run_sync(_junk, stage.appliance.url, fault.seconds)
            case _ as never:
                assert_never(never)
        return ""

    # --- processes ----------------------------------------------------------------------------------

    async def _victim(self, fault: Fault, *roles: str) -> WorkerStatus:
        def able(worker: WorkerStatus) -> bool:
            return worker.role in roles and bool(worker.pid)

        status = await self._stage.found(lambda status: any(map(able, status.workers)))
        workers = [worker for worker in status.workers if able(worker)]
        return workers[int(fault.choice * len(workers))]

    async def _kill(self, fault: Fault, *roles: str) -> str:
        worker = await self._victim(fault, *roles)
        if worker.role == "transceiver":
            self.doomed.add(worker.generation & 0xFFFF)
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        return worker.name

    async def _stop_worker(self, fault: Fault, *roles: str) -> str:
        worker = await self._victim(fault, *roles)
        await _stop(worker.pid, fault.seconds)
        return worker.name

    async def _kill_spare(self, fault: Fault) -> str:
        status = await self._stage.found(lambda status: bool(status.spares))
        spare = status.spares[int(fault.choice * len(status.spares))]
        with suppress(ProcessLookupError):
            os.kill(spare.pid, signal.SIGKILL)
        return spare.role

    async def _hurt_backend(self, fault: Fault) -> str:
        stage, index = self._stage, int(fault.choice * BACKENDS)
        service = stage.services[index]
        if fault.kind is Kind.STOP_BACKEND:
            await _stop(service.pid, fault.seconds)
        else:
            service.kill()
            service.wait()
            await trio.sleep(fault.seconds)
            stage.services[index] = stage.service(index)
        # The table of what may be lost has no row for all of them gone at once.
        await stage.until_heard()
        return f"back end {index}"

    # --- what an operator does ----------------------------------------------------------------------

    async def _ask(self, *words: str) -> str:
        """What has to succeed, unless something else is in the way."""
        full, fills = self._disk_is_full, self._fills
        code, said = await self._stage.tandem(*words)
        if code and not (full or self._fills > fills or ENOUGH in said):
            self.complaints.append(f"tandem {' '.join(words)}: exit code {code}: {said}")
        return f"exit code {code}"

    async def _change(self, fault: Fault) -> str:
        """Reload with another value in the file; it stays."""
        if fault.kind is Kind.MORE_RELAYS:
            key, one, other = "workers", "2", "3"
        else:
            key, one, other = _CHANGES[int(fault.choice * len(_CHANGES))]
        file = self._stage.file
        # The relays' number of workers comes before the transceivers'.
        before, _, rest = file.read_text(encoding="utf-8").partition(f"\n{key} = ")
        old, _, after = rest.partition("\n")
        new = other if old == one else one
        file.write_text(f"{before}\n{key} = {new}\n{after}", encoding="utf-8")
        return f"{key} = {new}, {await self._ask('reload')}"

    async def _bad_file(self, fault: Fault) -> str:
        """Reload, which is refused; then the good file is back."""
        file = self._stage.file
        good = file.read_text(encoding="utf-8")
        if bad := _BAD_FILES[int(fault.choice * len(_BAD_FILES))]:
            file.write_text(bad, encoding="latin-1")
        else:
            file.unlink()
        try:
            code, _ = await self._stage.tandem("reload")
        finally:
            file.write_text(good, encoding="utf-8")
        if code == 0:
            self.complaints.append(f"tandem reload took a bad file: {bad!r}")
        return f"{bad!r}: exit code {code}"

    async def _upgrade(self) -> str:
        stage = self._stage
        stage.release += 1
        await trio.to_thread.run_sync(install, stage.tree, f"{stage.release}.0.0")
        return f"to {stage.release}.0.0, {await self._ask('upgrade')}"

    async def _bad_upgrade(self) -> str:
        """It is refused; then what was there is there again."""
        stage = self._stage
        await trio.to_thread.run_sync(install, stage.tree, f"{stage.release + 1}.0.0")
        break_module(stage.tree, "appliance/supervisor/configuration.py")
        code, _ = await stage.tandem("upgrade")
        await trio.to_thread.run_sync(install, stage.tree, f"{stage.release}.0.0")
        if code == 0:
            self.complaints.append("tandem upgrade took a version that does not start")
        return f"exit code {code}"

    # --- the machine --------------------------------------------------------------------------------

    async def _fill(self, fault: Fault) -> None:
        disk = self._stage.disk
        assert disk is not None
        self._disk_is_full = True
        self._fills += 1
        (disk.fill if fault.kind is Kind.FULL_DISK else disk.fill_with_files)()
        await trio.sleep(fault.seconds)
        disk.free()
        self._disk_is_full = False

    async def _hurt_redis(self, fault: Fault) -> None:
        registry = self._stage.registry
        assert registry is not None
        match fault.kind:
            case Kind.KILL_REDIS:
                await registry.kill(fault.seconds)
            case Kind.STOP_REDIS:
                await registry.stop(fault.seconds)
            case _:
                way = Way.CUT if fault.kind is Kind.CUT_REDIS else Way.NONSENSE
                await registry.lead(way, fault.seconds)


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
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
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
