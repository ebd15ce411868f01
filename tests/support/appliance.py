"""A whole appliance as its operator runs it: `tandem run` in a process of its own, on free ports.

async with running_appliance(tmp_path, {"relay": {"workers": 1}}) as appliance:
    appliance.url, await appliance.status()
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import trio

from config.ids import Endpoint
from ipc.messages.admin import SessionsRequest, StatusReply, StatusRequest, WorkerStatus
from ipc.messages.places import PlaceList, PlacesRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout

TREE: Final = Path(__file__).resolve().parents[2]
READY_WITHIN: Final = 60.0
"""Seconds; a start takes less than one, but tests share their machine."""
END_WITHIN: Final = 60.0
_PORTS: Final = range(20_000, 32_000)
"""Below the range the kernel picks from, so that nobody is given one by chance."""


class Appliance:
    """A running appliance."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, relay: Endpoint) -> None:
        self.process = process
        self.directory = directory
        self.admin = f"ipc://{directory}/admin.sock"
        self.relay = relay
        """The public end point, unless `relay.listen` was overridden."""
        self.page = ""
        self.url = ""
        """Of the HTTP server, without a slash at its end."""
        self._seen: set[int] = set()

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.process.pid

    def log(self) -> str:
        """What it and its workers have written to standard error."""
        return (self.directory / "stderr").read_text(errors="replace")

    async def status(self, within: float = 10.0) -> StatusReply:
        """Ask for its status."""
        with RpcClient(self.admin) as client:
            reply = await client.call(StatusRequest(), within)
        assert isinstance(reply, StatusReply), reply
        self._seen |= {worker.pid for worker in reply.workers if worker.pid}
        return reply

    async def sessions(self, within: float = 10.0) -> SessionList:
        """Ask for its sessions."""
        with RpcClient(self.admin) as client:
            reply = await client.call(SessionsRequest(), within)
        assert isinstance(reply, SessionList), reply
        return reply

    async def places(self, within: float = 10.0) -> PlaceList:
        """Ask for the hosts and places that it knows."""
        with RpcClient(self.admin) as client:
            reply = await client.call(PlacesRequest(), within)
        assert isinstance(reply, PlaceList), reply
        return reply

    async def worker(self, name: str) -> WorkerStatus:
        """One worker's row."""
        return next(w for w in (await self.status()).workers if w.name == name)

    async def until(
        self,
        condition: Callable[[StatusReply], bool],
        within: float = READY_WITHIN,
        *,
        mortal: bool = False,
    ) -> StatusReply:
        """The first status for which the condition holds. Fails, with the log, if none comes.

        `mortal`: it may end, and another one answer in its place.
        """
        last: object = None
        with trio.move_on_after(within):
            while mortal or self.process.poll() is None:
                try:
                    last = status = await self.status(within=1.0)
                    if condition(status):
                        return status
                except (RpcTimeout, RpcFailed, LookupError) as error:
                    last = error  # nobody answers yet, or what was asked for is not there yet
                await trio.sleep(0.02)
        code = self.process.poll()
        raise AssertionError(f"exit code {code}, last: {last}\n{self.log()}")

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    async def wait(self, within: float = END_WITHIN) -> int:
        """Its exit code, once it has ended by itself."""
        with trio.move_on_after(within):
            while (code := self.process.poll()) is None:
                await trio.sleep(0.02)
            return code
        raise AssertionError(f"still running after {within} s\n{self.log()}")

    async def end(self) -> None:
        """End it in order, or else by force; leaves no worker behind."""
        try:
            if self.process.poll() is None:
                self.process.terminate()
                with trio.CancelScope(shield=True):
                    await self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in self._seen:
                if is_worker(pid):
                    os.kill(pid, signal.SIGKILL)


def is_worker(pid: int) -> bool:
    """That process lives and is a worker of an appliance."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return b"workers." in command and state != "Z"


def free_udp_port() -> int:
    """A port that was free a moment ago, on all addresses of both families."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, suppress(OSError):
            udp.bind(("0.0.0.0", port))
            return port


def free_tcp_port() -> int:
    """A port of the loopback that was free a moment ago."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            return port


def write_config(path: Path, config: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a configuration of tables with plain values as TOML."""
    lines: list[str] = []
    for table, values in config.items():
        lines.append(f"[{table}]")
        # JSON's strings, numbers, booleans and arrays of them are TOML's too; a dict becomes inline.
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def default_config(directory: Path, relay: Endpoint) -> dict[str, dict[str, Any]]:
    """One worker of each kind that calls need, on loopback, drained quickly."""
    return {
        "relay": {"listen": [str(relay)], "workers": 1, "receive_buffer": 1_048_576},
        # On a machine that other tests keep busy a transceiver would say that it has no time.
        "transceiver": {"workers": 1, "max_busy": 1},
        "signaling": {"listen": ["127.0.0.1:0"]},
        "supervisor": {
            "runtime_directory": str(directory),
            "state_directory": str(directory / "state"),
            "drain_timeout": 2.0,
        },
        "ops": {"listen": []},
        "log": {"format": "json"},
    }


def start_appliance(
    directory: Path,
    overrides: Mapping[str, Mapping[str, Any]],
    tree: Path = TREE,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
) -> Appliance:
    """Start one whose sockets, state, configuration and log are in `directory`; does not wait."""
    relay = Endpoint("127.0.0.1", free_udp_port())
    config = default_config(directory, relay)
    for table, values in overrides.items():
        config.setdefault(table, {}).update(values)
    file = directory / "tandem.toml"
    write_config(file, config)
    return restart_appliance(directory, relay, tree, prefix, python=python)


def restart_appliance(
    directory: Path,
    relay: Endpoint,
    tree: Path = TREE,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    python: str = sys.executable,
) -> Appliance:
    """Start one with the configuration that is there already; `tree` is where its code is.

    `prefix`: a command that becomes the one behind it, in another namespace for instance. `python`: the
    interpreter, also of its workers.
    """
    inherited = {**os.environ, "PYTHONPATH": str(tree)}
    for name in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "NOTIFY_SOCKET"):
        inherited.pop(name, None)
    command = [python, "-m", "appliance.cli.main", "run"]
    with (directory / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            [*prefix, *command, "-c", directory / "tandem.toml"],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            cwd=directory,
            env={**inherited, **environment},
            start_new_session=True,
        )
    return Appliance(process, directory, relay)


async def ready(appliance: Appliance, serves: Collection[str] = frozenset({"ready"})) -> Appliance:
    """Wait until it serves, and learn its URL."""
    status = await appliance.until(lambda status: status.state in serves)
    appliance.page = status.page
    appliance.url = status.page.rstrip("/")
    return appliance


@asynccontextmanager
async def running_appliance(
    tmp_path: Path,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    tree: Path = TREE,
    prefix: Sequence[str] = (),
    serves: Collection[str] = frozenset({"ready"}),
) -> AsyncIterator[Appliance]:
    """An appliance that is ready, or in one of these states, ended behind you.

    `overrides` is laid over `default_config`, table by table. Its sockets are in a directory with a short
    name (a socket's path has at most 107 bytes), linked from `tmp_path`.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with suppress(OSError):
            (tmp_path / "appliance").symlink_to(directory)
        appliance = start_appliance(directory, overrides or {}, tree, prefix)
        try:
            yield await ready(appliance, serves)
        finally:
            with trio.CancelScope(shield=True):
                await appliance.end()
