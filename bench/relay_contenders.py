"""Relays that the bench can drive. Each brings its own far side, and counts and costs alike.

A contender to come (another datapath, a TURN server, a UDP proxy) is one more class with these four
methods; the load, the clock and the arithmetic are the bench's.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import trio

from bench.relay_load import Clients
from config.ids import ClusterId, Endpoint, Epoch, Role, Route, TransceiverId, WorkerName
from config.model import Config, DatapathChoice, LogLevel, LogSection, RelaySection
from ipc.bus import Subscriber
from ipc.control import ControlServer
from ipc.handover import assignment_pair, send_assignment
from ipc.messages.lifecycle import (
    PROTOCOL_VERSION,
    Assignment,
    Descriptor,
    DescriptorKind,
    Heartbeat,
    Hello,
    Ready,
    Welcome,
)
from ipc.messages.routes import LiveRoute, Routes, RoutesApplied
from ipc.messages.stats import RelayStats
from workers.wire.ufrag import UfragKeys

_ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))
_RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33  # Linux, as root


class Sample(NamedTuple):
    """Totals of a relay process at one moment."""

    cpu_seconds: float
    """User and system."""
    datagrams: int
    """Sent on, in both directions together."""


class Contender(Protocol):
    """A running relay with an echo behind it."""

    name: str
    address: Endpoint

    async def associate(self, clients: Clients) -> int:
        """Make each client's flow one that is forwarded; how many are."""

    async def sample(self) -> Sample:
        """Totals so far."""

    def problems(self) -> list[str]:
        """What its own counters complain about."""


class Tandem:
    """A real relay worker, driven over its real control and bus."""

    def __init__(
        self,
        name: DatapathChoice,
        address: Endpoint,
        keys: UfragKeys,
        subscriber: Subscriber,
        pid: int,
    ) -> None:
        self.name = name.value
        self.address = address
        self.pid = pid
        self._keys = keys
        self._subscriber = subscriber
        self._latest: RelayStats | None = None
        self._news = trio.Event()

    async def follow(self) -> None:
        """Take in the worker's statistics."""
        async for message in self._subscriber:
            if isinstance(message, RelayStats):
                self._latest = message
                self._news.set()
                self._news = trio.Event()

    async def associate(self, clients: Clients) -> int:
        """Each client sends a check that names the route, and gets the echo's answer to it."""
        questions = {sock: self._check() for sock in clients.sockets}
        return await trio.to_thread.run_sync(clients.ask, questions, 15.0)

    async def sample(self) -> Sample:
        """The worker's next report."""
        await self._news.wait()
        assert self._latest is not None
        stats = self._latest
        return Sample(stats.usage.cpu_seconds, stats.forwarded + stats.returned)

    def problems(self) -> list[str]:
        """A broken law, or drops."""
        stats = self._latest
        if stats is None:
            return ["no statistics"]
        found = [] if stats.conserved else ["the law of conservation is broken"]
        return found + [f"{n} dropped: {r}" for r, n in (stats.dropped | stats.refused).items()]

    def _check(self) -> bytes:
        ufrag = self._keys.mint(_ROUTE, secrets.token_bytes(6))
        username = f"{ufrag}:client".encode()
        attribute = b"\x00\x06" + len(username).to_bytes(2, "big") + username
        attribute += bytes(-len(attribute) % 4)
        header = b"\x00\x01" + len(attribute).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        return header + secrets.token_bytes(12) + attribute


@contextmanager
def _udp() -> Iterator[tuple[socket.socket, Endpoint]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind(("127.0.0.1", 0))
        yield sock, Endpoint(*sock.getsockname())


class _Handshake:
    """As much of a supervisor as one relay worker needs."""

    def __init__(self, server: ControlServer, routes: Routes) -> None:
        self._server = server
        self._routes = routes
        self.applied = trio.Event()

    async def run(self) -> None:
        while True:
            peer, message = await self._server.receive()
            match message:
                case Hello():
                    self._server.send(peer, Welcome(os.getpid()))
                case Ready():
                    self._server.send(peer, self._routes)
                case Heartbeat():
                    self._server.send(peer, message)
                case RoutesApplied():
                    self.applied.set()
                case _:
                    pass


async def run_tandem(
    datapath: DatapathChoice, cpu: int, echo_cpu: int, *, task_status: trio.TaskStatus[Tandem]
) -> None:
    """Run a worker and its echo until cancelled; says which contender it is once routes are known."""
    key = secrets.token_bytes(16)
    with (
        tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory,
        _udp() as (public, public_endpoint),
        _udp() as (link, link_endpoint),
        _udp() as (far, far_endpoint),
        ControlServer(f"ipc://{directory}/control") as server,
        Subscriber(f"ipc://{directory}/bus") as subscriber,
    ):
        config = Config(
            relay=RelaySection(listen=(public_endpoint,), datapath=datapath),
            log=LogSection(level=LogLevel.WARNING),
        )
        assignment = Assignment(
            version=PROTOCOL_VERSION,
            name=WorkerName("relay-0"),
            role=Role.RELAY,
            index=0,
            generation=1,
            config=config.model_dump_json(),
            control=server.endpoint,
            bus=subscriber.endpoint,
            runtime_directory=directory,
            descriptors=(
                Descriptor(DescriptorKind.PUBLIC, public_endpoint),
                Descriptor(DescriptorKind.LINK, link_endpoint),
            ),
            ufrag_keys={"0": key},
            mint_with="0",
            cpu=cpu,
        )
        ours, theirs = assignment_pair()
        with ours, theirs:
            fd = theirs.fileno()
            worker = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-m", "workers.relay", "--assignment-fd", str(fd)],
                pass_fds=[fd],
                cwd=Path(__file__).parent.parent,
            )
            send_assignment(ours, assignment, [public, link])
        fd = far.fileno()
        echo = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "bench.relay_echo", str(fd), str(echo_cpu)],
            pass_fds=[fd],
            cwd=Path(__file__).parent.parent,
        )
        handshake = _Handshake(server, Routes(1, (LiveRoute(_ROUTE, far_endpoint),)))
        contender = Tandem(
            datapath, public_endpoint, UfragKeys({"0": key}, "0"), subscriber, worker.pid
        )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(handshake.run)
                nursery.start_soon(contender.follow)
                with trio.fail_after(15):
                    await handshake.applied.wait()
                task_status.started(contender)
                await trio.sleep_forever()
        finally:
            for process in (worker, echo):
                process.kill()
                process.wait()
