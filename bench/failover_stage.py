"""Two appliances that are two hosts, one address that they share, clients, and a Redis or none.

Clients are calls, as `tandem call` makes them, and flows: no calls, but what a relay sees of one (a check
that names a route, media, a check again). Behind flows is an echo that takes a transceiver's place.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from bench.appliance import LAUNCH, write_python
from bench.failover_net import ADDRESS, CROWD, REDIS, Net, host_address, net
from bench.native import program
from bench.relay_peers import stun
from ipc.messages.admin import StatusReply, StatusRequest
from ipc.messages.stats import FleetStats, RelayStats
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import Unreachable

PORT: Final = 3478
_TREE: Final = Path(__file__).parent.parent
_WITHIN: Final = 60.0
_CONFIG: Final = """\
[relay]
listen = ["{address}:{port}"]
workers = 1
[link]
address = "{host}"
mtu = 1372
[transceiver]
workers = {transceivers}
first_id = {first}
max_sessions = 5000
[signaling]
listen = ["{host}:8080"]
anonymous = true
calls_per_minute = 0
[ufrag]
keys = {{ a = "{key}" }}
[fleet]
listen = ["{host}:3480"]
peers = ["{other}:3480"]
[redis]
{redis}
[supervisor]
runtime_directory = "{directory}"
state_directory = "{directory}/state"
drain_timeout = 0.0
spares = false
[log]
level = "warning"
"""


class Host:
    """An appliance in its namespace."""

    def __init__(
        self, process: subprocess.Popen[bytes], directory: Path, place: Net, number: int
    ) -> None:
        self._process = process
        self._net, self._place = place, f"host{number}"
        self._directory = directory

    def status(self) -> StatusReply | None:
        """What it says of itself; None if it says nothing."""
        try:
            socket = f"ipc://{self._directory}/admin.sock"
            reply = call_blocking(socket, StatusRequest(), 2.0)
        except (RpcTimeout, RpcFailed, Unreachable):
            return None
        return reply if isinstance(reply, StatusReply) else None

    def fleet(self) -> FleetStats | None:
        """Of its fleet worker."""
        return next((w.stats for w in self._rows() if isinstance(w.stats, FleetStats)), None)

    def relay(self) -> RelayStats | None:
        """Of its relay."""
        return next((w.stats for w in self._rows() if isinstance(w.stats, RelayStats)), None)

    def _rows(self) -> Any:
        status = self.status()
        return () if status is None else status.workers

    def die(self) -> None:
        """All of it at once, as when the power goes."""
        while pids := self._net.processes(self._place):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def ufrags(self) -> list[str]:
        """That name the route of its echo; none before that runs."""
        file = self._directory / "ufrags"
        return file.read_text().split() if file.exists() else []

    def log(self) -> str:
        """What it has written."""
        return (self._directory / "log").read_text(errors="replace")


class Stage:
    """Host 1 has the address, host 2 the sessions."""

    def __init__(
        self,
        place: Net,
        directory: Path,
        hosts: tuple[Host, Host],
        redis: subprocess.Popen[bytes],
    ) -> None:
        self.net = place
        self.directory = directory
        self.first, self.second = hosts
        self.redis = redis

    def until(self, what: str, condition: Any) -> None:
        """Wait for it."""
        deadline = time.monotonic() + _WITHIN
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"waited in vain: {what}\n{self.first.log()}{self.second.log()}")
            time.sleep(0.05)

    def calls(self, count: int, seconds: float) -> subprocess.Popen[str]:
        """Calls to transceivers of host 2 by the relay of host 1, connected when this returns."""
        url = f"http://{host_address(2)}:8080/v1/realtime/calls"
        command = [sys.executable, "-m", "bench.failover_calls", url, str(count), str(seconds)]
        process = subprocess.Popen(
            self.net.command("clients", command), stdout=subprocess.PIPE, text=True, cwd=_TREE
        )
        assert process.stdout is not None
        if process.stdout.readline().strip() != "connected":
            raise SystemExit(f"the calls did not connect\n{self.second.log()}")
        return process

    def flows(self, intervals: Sequence[tuple[float, float]], pps: float) -> subprocess.Popen[str]:
        """A flow for each least and most seconds between checks, all forwarded when this returns."""
        self.until("an echo", self.second.ufrags)
        ufrags = self.second.ufrags()
        checks = self.directory / "checks"
        with checks.open("w") as file:
            for ufrag, (least, most) in zip(ufrags, intervals, strict=False):
                check = stun(0x0001, (0x0006, f"{ufrag}:client".encode()))
                file.write(f"{check.hex()} {1000 * least:.0f} {1000 * most:.0f}\n")
        first = str(next(ip_network(CROWD).hosts()))
        command = [program("flows"), f"{ADDRESS}:{PORT}", first, str(pps), str(checks)]
        process = subprocess.Popen(
            self.net.command("clients", command), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        if process.stdout.readline().strip() != "connected":
            raise SystemExit(f"the flows were not assured\n{self.second.log()}")
        return process

    def fail_over(self) -> float:
        """Host 1 dies and host 2 gets the address; when it had it, by the monotonic clock."""
        self.first.die()
        self.net.give(2)
        return time.monotonic()


@contextmanager
def stage(*, cache: bool, redis: bool, echo: bool = False) -> Iterator[Stage]:
    """All of it, ready and ended behind you. `redis`: hosts use it, `cache`: also for flows.

    `echo`: each host has one more transceiver, which is none but the echo that flows need.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-") as name, net() as place:
        directory = Path(name)
        key = directory / "ufrag.hex"
        key.write_text("00112233445566778899aabbccddeeff")
        key.chmod(0o600)
        url = f'url = "redis://{REDIS}"\ncache = {json.dumps(cache)}' if redis else ""
        server = _start_redis(place, directory)
        hosts = tuple(_start(place, number, directory, key, url, echo=echo) for number in (1, 2))
        scene = Stage(place, directory, (hosts[0], hosts[1]), server)
        try:
            for host in hosts:
                scene.until("hosts that know each other", lambda host=host: _is_ready(host, redis))
            yield scene
        finally:
            for host in hosts:
                host.die()
            server.kill()
            server.wait()


def _is_ready(host: Host, redis: bool) -> bool:
    status, fleet = host.status(), host.fleet()
    if status is None or fleet is None or status.state != "ready" or fleet.fresh != 1:
        return False
    return not redis or fleet.redis.startswith("reached")


def _start_redis(place: Net, directory: Path) -> subprocess.Popen[bytes]:
    command = ["redis-server", "--bind", REDIS, "--save", "", "--protected-mode", "no"]
    return subprocess.Popen(
        place.command("clients", [*command, "--dir", str(directory)]), stdout=subprocess.DEVNULL
    )


def _start(place: Net, number: int, base: Path, key: Path, redis: str, *, echo: bool) -> Host:
    directory = base / str(number)
    directory.mkdir()
    file = directory / "tandem.toml"
    file.write_text(
        _CONFIG.format(
            address=ADDRESS,
            port=PORT,
            host=host_address(number),
            other=host_address(3 - number),
            transceivers=1 + echo,
            first=1000 * number,
            key=key,
            redis=redis,
            directory=directory,
        )
    )
    worker = sys.executable
    if echo:
        worker = write_python(directory / "python", "bench.relay_transceiver", once=True)
    command = [sys.executable, "-c", LAUNCH, worker, "run", "-c", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(_TREE)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            place.command(f"host{number}", command),
            stdout=log,
            stderr=log,
            cwd=_TREE,
            env=environment,
            start_new_session=True,
        )
    return Host(process, directory, place, number)
