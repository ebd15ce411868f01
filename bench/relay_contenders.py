"""Relays that the bench can drive. Each brings its own far side; load, clock and arithmetic are alike."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, free_port, launched
from bench.native import program
from bench.placement import Placement, started
from bench.relay_clients import MEDIA, Clients
from bench.relay_peers import (
    allocate,
    channel_bind,
    channel_header,
    nginx,
    stun,
    succeeded,
    turnserver,
)
from bench.usage import threads_cpu
from config.ids import Endpoint
from config.model import DatapathChoice

_CONFIG: Final = """\
[relay]
listen = ["127.0.0.1:{port}"]
workers = 1
datapath = "{datapath}"
# Idle while the others have their turn: the flows of the bench must still be there afterwards.
flow_idle = 3600
[transceiver]
workers = 1
"""
_CLUSTER: Final = 7
_BEHIND: Final = """\
[cluster]
id = {cluster}
ingress = "{ingress}"
global_relays = ["127.0.0.1"]
[ufrag]
keys = {{ a = "{key}" }}
"""
_FRONT: Final = """\
[cluster]
id = 9
others = {{ {cluster} = ["{ingress}"] }}
[ufrag]
keys = {{ a = "{key}" }}
"""
_REDIS: Final = """\
[link]
address = "127.0.0.2"
[ufrag]
keys = {{ a = "{key}" }}
[redis]
url = "redis://127.0.0.1:{port}"
"""
_ECHO: Final = "bench.relay_transceiver"


class Contender(ABC):
    """A running relay with an echo behind it."""

    def __init__(self, name: str, address: Endpoint) -> None:
        self.name = name
        self.address = address

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that forwards."""

    @property
    def pids(self) -> Sequence[int]:
        """All processes that forward, one behind the other."""
        return (self.pid,)

    @abstractmethod
    def associate(self, clients: Clients) -> None:
        """Make each client's flow one that is forwarded."""

    def prefix(self, size: int) -> bytes:
        """What goes before each datagram of that size on the client's side."""
        return b""

    def prove(self, clients: Clients) -> None:
        """See a datagram of every flow come back."""
        datagram = self.prefix(len(MEDIA)) + MEDIA
        came = clients.ask(lambda _: datagram, lambda answer: len(answer) == len(datagram))
        if len(came) < clients.count:
            raise SystemExit(f"{self.name} forwards {len(came)} of {clients.count} flows")

    def cpu_us(self) -> float:
        """Microseconds on a CPU of all its threads so far, user and system, as the scheduler counts."""
        return sum(map(threads_cpu, self.pids)) * 1e6


class Plain(Contender):
    """A process that forwards any client's datagrams: nginx, and the bench's own."""

    def __init__(self, name: str, address: Endpoint, process: subprocess.Popen[str]) -> None:
        super().__init__(name, address)
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def associate(self, clients: Clients) -> None:
        self.prove(clients)


class Coturn(Plain):
    """An allocation per client, with a channel bound to the echo."""

    def __init__(self, address: Endpoint, process: subprocess.Popen[str], echo: Endpoint) -> None:
        super().__init__("coturn", address, process)
        self._echo = echo

    def associate(self, clients: Clients) -> None:
        for kind, request in ((0x0003, allocate()), (0x0009, channel_bind(self._echo))):
            asked = {flow: _fresh(request) for flow in range(clients.count)}
            done = clients.ask(asked.__getitem__, _begins(succeeded(kind)))
            if len(done) < clients.count:
                raise SystemExit(
                    f"coturn granted {len(done)} of {clients.count} requests {kind:#x}"
                )
        self.prove(clients)

    def prefix(self, size: int) -> bytes:
        return channel_header(size)


class Tandem(Contender):
    """The appliance as `tandem run` starts it, with the bench's echo in its transceiver's place."""

    def __init__(self, name: str, address: Endpoint, appliance: Appliance) -> None:
        super().__init__(name, address)
        self._pid = appliance.worker("relay").pid
        self._ufrags = (appliance.directory / "ufrags").read_text().split()

    @property
    def pid(self) -> int:
        return self._pid

    def associate(self, clients: Clients) -> None:
        def check(flow: int) -> bytes:
            return stun(0x0001, (0x0006, f"{self._ufrags[flow]}:client".encode()))

        clients.ask(check, _begins(succeeded(0x0001)), within=30.0)
        self.prove(clients)


class TwoTiers(Tandem):
    """A Global Relay and the relay of the cluster behind it, which has the echo."""

    def __init__(self, address: Endpoint, front: Appliance, behind: Appliance) -> None:
        super().__init__("tandem_global", address, behind)
        self._front = front.worker("relay").pid

    @property
    def pids(self) -> Sequence[int]:
        return (self._front, self._pid)


def _fresh(request: bytes) -> bytes:
    """The same request with a transaction id of its own."""
    return request[:8] + os.urandom(12) + request[20:]


def _begins(start: bytes) -> Callable[[bytes], bool]:
    return lambda answer: answer.startswith(start)


def _said(process: subprocess.Popen[str]) -> Endpoint:
    """The address that a program of the bench says first."""
    assert process.stdout is not None
    host, _, port = process.stdout.readline().strip().rpartition(":")
    if not port.isdigit():
        raise SystemExit(f"{process.args!r} did not start")
    return Endpoint(host, int(port))


@contextmanager
def tandem(datapath: DatapathChoice, place: Placement) -> Iterator[Tandem]:
    """The supervisor pins the relay to the first CPU; all its other processes are moved to the load's."""
    port = free_port()
    with launched(_CONFIG.format(port=port, datapath=datapath.value), _ECHO) as appliance:
        name = f"tandem_{datapath.value}"
        contender = Tandem(name, Endpoint("127.0.0.1", port), appliance)
        place.move(appliance.pid, but=contender.pid)
        yield contender


@contextmanager
def tandem_with_redis(place: Placement, directory: str) -> Iterator[Tandem]:
    """The native one, of a fleet: with a registry, and a cache in which its flows are."""
    port, registry = free_port(), free_port()
    command = ["redis-server", "--port", str(registry), "--bind", "127.0.0.1", "--save", ""]
    config = _CONFIG.format(port=port, datapath=DatapathChoice.NATIVE.value)
    config += _REDIS.format(key=_key(directory), port=registry)
    with (
        started(place.command(place.load, command), stdout=subprocess.DEVNULL),
        launched(config, _ECHO) as appliance,
    ):
        contender = Tandem("tandem_redis", Endpoint("127.0.0.1", port), appliance)
        place.move(appliance.pid, but=contender.pid)
        yield contender


def _key(directory: str) -> Path:
    key = Path(directory, "ufrag.hex")
    key.write_text(os.urandom(16).hex())
    key.chmod(0o600)
    return key


@contextmanager
def two_tiers(place: Placement, directory: str) -> Iterator[TwoTiers]:
    """Both relays on the first CPU."""
    key = _key(directory)
    ports = [free_port() for _ in range(2)]
    said = {"cluster": _CLUSTER, "ingress": f"127.0.0.1:{free_port()}", "key": key}
    configs = [
        _CONFIG.format(port=port, datapath=DatapathChoice.NATIVE.value) + more.format_map(said)
        for port, more in zip(ports, (_FRONT, _BEHIND), strict=True)
    ]
    with launched(configs[0], _ECHO) as front, launched(configs[1], _ECHO) as behind:
        contender = TwoTiers(Endpoint("127.0.0.1", ports[0]), front, behind)
        for appliance, relay in zip((front, behind), contender.pids, strict=True):
            place.move(appliance.pid, but=relay)
        yield contender


@contextmanager
def contenders(place: Placement, names: Sequence[str]) -> Iterator[list[Contender]]:
    """Those of all that are named, running, in the order in which they take turns."""
    found: list[Contender] = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory, ExitStack() as stack:
        quiet: dict[str, Any] = {"stdout": subprocess.PIPE}
        silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        echo = stack.enter_context(
            started(place.command(place.load, [program("echo"), "127.0.0.1:0"]), **quiet)
        )
        backend = _said(echo)
        if "direct" in names:
            found.append(Plain("direct", backend, echo))
        if "coturn" in names:
            port = free_port()
            process = stack.enter_context(
                started(place.command(place.relay, turnserver(port, directory)), **silent)
            )
            found.append(Coturn(Endpoint("127.0.0.1", port), process, backend))
        if "nginx" in names:
            port = free_port()
            command = place.command(place.relay, nginx(port, directory, backend))
            process = stack.enter_context(started(command))
            found.append(Plain("nginx", Endpoint("127.0.0.1", port), process))
        for mode in ("mmsg", "pack"):
            if f"c_{mode}" in names:
                far = f"{backend.host}:{backend.port}"
                command = [program("forward"), mode, "127.0.0.1:0", far]
                process = stack.enter_context(started(place.command(place.relay, command), **quiet))
                found.append(Plain(f"c_{mode}", _said(process), process))
        found += [
            stack.enter_context(tandem(datapath, place))
            for datapath in (DatapathChoice.NATIVE, DatapathChoice.PYTHON)
            if f"tandem_{datapath.value}" in names
        ]
        if "tandem_redis" in names:
            found.append(stack.enter_context(tandem_with_redis(place, directory)))
        if "tandem_global" in names:
            found.append(stack.enter_context(two_tiers(place, directory)))
        time.sleep(0.5)
        yield sorted(found, key=lambda one: names.index(one.name))
