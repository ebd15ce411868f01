"""A real Redis or Valkey of its own, to be killed, stopped and filled up."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.support.appliance import TREE

BUS: Final = 10_000
"""A member of a Cluster has a second port, by so much higher."""
_PORTS: Final = range(20_000, 22_000)
"""So that neither of the two is one that the kernel gives to clients."""
UP_WITHIN: Final = 60.0


def has_redis() -> bool:
    """This machine can run one."""
    return shutil.which("redis-server") is not None


needs_redis = pytest.mark.skipif(not has_redis(), reason="redis-server is not installed")
REDIS: Final = "redis-server"
VALKEY: Final = shutil.which("valkey-server") or str(TREE / "build" / "valkey-server")
needs_valkey = pytest.mark.skipif(not Path(VALKEY).exists(), reason="there is no valkey-server")


def _free_port() -> int:
    """With its neighbour, free a moment ago."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + BUS))
            return port


class RedisServer:
    """One server on a port of its own; it keeps nothing over a restart."""

    def __init__(self, directory: Path, port: int, program: str) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"
        self._directory = directory
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, options: Sequence[str] = (), config: Path | None = None) -> None:
        """Start it; does not wait."""
        command = [self._program, *([] if config is None else [str(config)])]
        command += ["--port", str(self.port), "--bind", "127.0.0.1"]
        if config is None:
            command += ["--save", ""]
        with (self._directory / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._directory), *options], stdout=log, stderr=log
            )

    async def start(self, options: Sequence[str] = ()) -> None:
        """Start it, and wait until it answers."""
        self.launch(options)
        await self.until_up()

    async def until_up(self) -> None:
        """Wait until it answers."""
        with trio.fail_after(UP_WITHIN):
            while not self.ask("PING").startswith((b"+PONG", b"-NOAUTH")):
                await trio.sleep(0.02)

    def ask(self, *words: str | bytes) -> bytes:
        """What it answers to a command, as far as that fits; empty if it does not."""
        raw = [word if isinstance(word, bytes) else word.encode() for word in words]
        lines = [b"*%d" % len(raw), *(b"$%d\r\n%b" % (len(word), word) for word in raw)]
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as tcp:
                tcp.sendall(b"".join(line + b"\r\n" for line in lines))
                return tcp.recv(1 << 16)
        except OSError:
            return b""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """It is gone, and what was in it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def redis_server(program: str = REDIS) -> Iterator[RedisServer]:
    """Not started yet; killed behind you."""
    with tempfile.TemporaryDirectory(prefix="tandem-redis-") as name:
        server = RedisServer(Path(name), _free_port(), program)
        try:
            yield server
        finally:
            server.kill()
