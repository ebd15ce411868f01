"""A real appliance to measure: one relay, one transceiver, its own ports and directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.placement import started
from bench.usage import process_cpu
from ipc.messages import Message
from ipc.messages.admin import StatusReply, StatusRequest, WorkerStatus
from ipc.rpc import RpcFailed, RpcTimeout, call_blocking
from ipc.zmq_trio import Unreachable

R = TypeVar("R")
_READY_WITHIN: Final = 30.0
_TREE: Final = Path(__file__).parent.parent
_ONE: Final = """\
[relay]
listen = {listen}
advertise = {advertise}
workers = 1
[transceiver]
workers = 1
max_busy = 1
"""
_QUIET: Final = """
[signaling]
listen = ["127.0.0.1:0"]
[ops]
listen = {ops}
[supervisor]
runtime_directory = "{directory}"
state_directory = "{directory}/state"
drain_timeout = {drain_timeout}
[log]
level = "warning"
"""
LAUNCH: Final = (
    "import sys; sys.executable = sys.argv.pop(1); from appliance.cli.main import main; main()"
)
"""`tandem run`, but that its workers are started by another `python`."""
_PYTHON: Final = """\
#!/bin/sh
for word do
  shift
  case "$word" in workers.transceiver) {once}word={module} ;; esac
  set -- "$@" "$word"
done
exec "{python}" "$@"
"""
_ONCE: Final = 'mkdir "$0.taken" 2>/dev/null && '


def write_python(script: Path, transceiver: str, *, once: bool = False) -> str:
    """Such a `python`, which runs that module in place of each transceiver, or of the first: its path."""
    words = {"module": transceiver, "once": _ONCE if once else "", "python": sys.executable}
    script.write_text(_PYTHON.format_map(words))
    script.chmod(0o755)
    return str(script)


class Appliance:
    """Its status, its CPU, and a caller against it."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]], directory: Path) -> None:
        self.directory = directory
        """Its configuration (tandem.toml), its sockets and its state."""
        self._start = start
        self._process = start()

    def kill(self) -> None:
        """End the supervisor with SIGKILL, and start another as a service manager would."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._process.pid

    def ask(self, request: Message, reply: type[R], within: float = 2.0) -> R:
        """Ask the supervisor. Raises RpcTimeout or RpcFailed."""
        answer = call_blocking(f"ipc://{self.directory}/admin.sock", request, within)
        assert isinstance(answer, reply), answer
        return answer

    def status(self) -> StatusReply:
        """Ask the supervisor. Raises RpcTimeout or RpcFailed."""
        return self.ask(StatusRequest(), StatusReply)

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
            time.sleep(0.01)
        raise SystemExit("the appliance was not ready in time")

    def worker(self, role: str) -> WorkerStatus:
        """The one worker of that role."""
        return next(w for w in self.status().workers if w.name.startswith(role))

    def cpu_seconds(self) -> float:
        """Of the supervisor and all workers, so far."""
        status = self.status()
        return sum(process_cpu(pid) for pid in (status.pid, *(w.pid for w in status.workers)))

    def call(self, **options: float | bool) -> Caller:
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

    @property
    def ended(self) -> bool:
        """It has: its report can be had at once."""
        return self._process.poll() is not None

    def end(self) -> None:
        """At once, whatever it would have found."""
        self._process.kill()
        self._process.wait()

    def report(self) -> dict[str, Any]:
        """What it found, once it has ended."""
        output, _ = self._process.communicate()
        fields = json.loads(output)
        assert isinstance(fields, dict)
        return fields


def call(url: str, **options: float | bool) -> Caller:
    """Start `tandem call` with these options; of one that takes no value it is True.

    It ends with the thread that has started it.
    """
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "workers.caller"]
    command += [url, "--json", "--timeout", "30"]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return Caller(subprocess.Popen(command, stdout=subprocess.PIPE))


def free_port() -> int:
    """A port that nobody has at the moment, by UDP or by TCP: a relay listens at both."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
        ):
            datagrams.bind(("127.0.0.1", 0))
            port = datagrams.getsockname()[1]
            assert isinstance(port, int)
            with suppress(OSError):
                streams.bind(("127.0.0.1", port))
                return port


@contextmanager
def launched(
    sections: str,
    transceiver: str = "",
    *,
    once: bool = False,
    drain_timeout: float = 0.0,
    ops: Sequence[str] = (),
) -> Iterator[Appliance]:
    """An appliance that is ready, ended behind you, however we end.

    `sections`: its [relay] and [transceiver]. `transceiver`: a module that runs in the place of all
    transceivers, or with `once` of the first: the others, and whatever replaces one, are real then.
    `drain_timeout`: of its supervisor. `ops`: where its metrics are, if it shall have any.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name:
        directory = Path(name)
        config, script = directory / "tandem.toml", directory / "python"
        quiet = _QUIET.format(
            directory=directory, drain_timeout=drain_timeout, ops=json.dumps([*ops])
        )
        config.write_text(sections + quiet)
        interpreter = sys.executable
        if transceiver:
            interpreter = write_python(script, transceiver, once=once)
        launch = [sys.executable, "-c", LAUNCH, interpreter, "run", "-c", str(config)]
        environment = {**os.environ, "PYTHONPATH": str(_TREE)}

        with ExitStack() as stack:

            def start() -> subprocess.Popen[str]:
                command = ["setpriv", "--pdeathsig", "TERM", *launch]
                options = {"stdout": subprocess.DEVNULL, "cwd": _TREE, "env": environment}
                return stack.enter_context(started(command, **options))

            appliance = Appliance(start, directory)
            appliance.wait_ready()
            yield appliance


@contextmanager
def running(
    hosts: Sequence[str] = ("127.0.0.1",), *, port: int | None = None, advertise: Sequence[str] = ()
) -> Iterator[Appliance]:
    """An appliance with one worker of each kind that is ready and takes whoever comes, ended behind you.

    `hosts`: where its relay listens; `advertise`: what its answers say instead, `host:port` each.
    """
    port = port or free_port()
    listen = json.dumps([f"{host}:{port}" for host in hosts])
    with launched(_ONE.format(listen=listen, advertise=json.dumps([*advertise]))) as appliance:
        yield appliance
