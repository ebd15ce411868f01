"""A real appliance to measure: one relay, one transceiver, its own ports and directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ipc.messages.admin import StatusReply, StatusRequest, WorkerStatus
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import Unreachable

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_READY_WITHIN: Final = 30.0
_CONFIG: Final = """\
[relay]
listen = {listen}
advertise = {advertise}
workers = 1
[transceiver]
workers = 1
[signaling]
listen = ["127.0.0.1:0"]
[supervisor]
runtime_directory = "{directory}"
state_directory = "{directory}/state"
drain_timeout = 0.0
[log]
level = "warning"
"""


class Appliance:
    """Its status, its CPU, and a caller against it."""

    def __init__(self, process: subprocess.Popen[Any], admin: str) -> None:
        self._process = process
        self._admin = admin

    def status(self) -> StatusReply:
        """Ask the supervisor. Raises RpcTimeout or RpcFailed."""
        reply = call_blocking(self._admin, StatusRequest(), 2.0)
        assert isinstance(reply, StatusReply), reply
        return reply

    def wait_ready(self) -> None:
        """Until it takes calls."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"the appliance ended with {self._process.returncode}")
            try:
                if self.status().state == "ready":
                    return
            except (RpcTimeout, RpcFailed, Unreachable):
                pass
            time.sleep(0.05)
        raise SystemExit("the appliance was not ready in time")

    def worker(self, role: str) -> WorkerStatus:
        """The one worker of that role."""
        return next(w for w in self.status().workers if w.name.startswith(role))

    def cpu_seconds(self) -> float:
        """Of the supervisor and all workers, so far."""
        status = self.status()
        return sum(process_cpu(pid) for pid in (status.pid, *(w.pid for w in status.workers)))

    def call(self, **options: float) -> Caller:
        """Start `tandem call` with these options."""
        return call(self.url, **options)

    @property
    def url(self) -> str:
        """Where it takes calls."""
        return f"{self.status().page.rstrip('/')}/v1/realtime/calls"


class Caller:
    """A running `tandem call`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def report(self) -> dict[str, Any]:
        """What it found, once it has ended."""
        output, _ = self._process.communicate()
        fields = json.loads(output)
        assert isinstance(fields, dict)
        return fields


def call(url: str, **options: float) -> Caller:
    """Start `tandem call` with these options."""
    command = [sys.executable, "-m", "workers.caller", url, "--json", "--timeout", "30"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return Caller(subprocess.Popen(command, stdout=subprocess.PIPE))


def process_cpu(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def free_port() -> int:
    """A UDP port that nobody has at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextmanager
def running(
    hosts: Sequence[str] = ("127.0.0.1",), *, port: int | None = None, advertise: Sequence[str] = ()
) -> Iterator[Appliance]:
    """An appliance that is ready, ended behind you.

    `hosts`: where its relay listens; `advertise`: what its answers say instead, `host:port` each.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory:
        config = Path(directory, "tandem.toml")
        port = port or free_port()
        listen = json.dumps([f"{host}:{port}" for host in hosts])
        config.write_text(
            _CONFIG.format(directory=directory, listen=listen, advertise=json.dumps([*advertise]))
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli.main", "run", "-c", config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            appliance = Appliance(process, f"ipc://{directory}/admin.sock")
            appliance.wait_ready()
            yield appliance
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
