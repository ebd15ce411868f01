"""Three regions and a client at home, in network namespaces: what the scenario and its drawing stand on.

    home (behind a NAT, in Europe)  ~~wan~~  eu   a Global Relay
                                    ~~wan~~  us   cluster 2: signaling, and the sessions
                                    ~~wan~~  ap   a Global Relay

Each says where it is, and hears of the others by a Redis that is elsewhere, so no file names another host:
eu and ap know where the relay of us takes clients, and answers of us name the two sites nearest to the
client, which a database in MaxMind's format places in Frankfurt.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from config.ids import Endpoint
from ipc.messages.sessions import SessionList
from tests.support.appliance import TREE, Appliance, ready, start_appliance
from tests.support.hosts import knows
from tests.support.wan import Internet, internet

HOST: Final = {"eu": "10.99.1.1", "us": "10.99.2.1", "ap": "10.99.3.1"}
PLACE: Final = {"eu": (50.1, 8.7), "us": (39.0, -77.5), "ap": (1.35, 103.8)}
REDIS: Final = "10.99.4.1"
OUTSIDE: Final = ("10.99.9.1", "10.99.9.2")
CLUSTER: Final = {"eu": 1, "us": 2, "ap": 3}
RELAY_PORT, HTTP_PORT, INGRESS_PORT = 3478, 8080, 3479
NODES: Final[dict[str, dict[str, Any]]] = {
    **{name: {"address": address} for name, address in HOST.items()},
    "redis": {"address": REDIS},
    "home": {"address": "192.168.1.2", "outside": OUTSIDE},
}
WAYS: Final[dict[str, dict[str, float]]] = {
    "home>eu": {"delay": 0.008, "jitter": 0.001, "loss": 0.002},
    "home>us": {"delay": 0.065, "jitter": 0.002, "loss": 0.004},
    "home>ap": {"delay": 0.095, "jitter": 0.003, "loss": 0.004},
    "eu>us": {"delay": 0.036, "jitter": 0.0005},
    "eu>ap": {"delay": 0.080, "jitter": 0.0005},
    "us>ap": {"delay": 0.105, "jitter": 0.0005},
    "us>redis": {"delay": 0.010, "jitter": 0.0005},
    "eu>redis": {"delay": 0.040, "jitter": 0.0005},
    "ap>redis": {"delay": 0.100, "jitter": 0.0005},
}
"""One way, seconds. Between the regions it is the operator's own network, which loses nothing."""

TALKING: Final = 25
"""Packets: half a second."""
_CONNECT: Final = """
import socket, sys, time
for _ in range(5):
    start = time.perf_counter()
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()
    print(time.perf_counter() - start)
"""


_OFFER: Final = """
import sys, urllib.parse, urllib.request
headers = {"Content-Type": "application/sdp"}
offer = urllib.request.Request(sys.argv[1], sys.stdin.buffer.read(), headers)
with urllib.request.urlopen(offer, timeout=30) as answer:
    sys.stdout.buffer.write(answer.read())
    call = urllib.parse.urljoin(sys.argv[1], answer.headers["Location"])
urllib.request.urlopen(call + "/hangup", b"", timeout=30).close()
"""


class Regions(NamedTuple):
    """All of it, running."""

    internet: Internet
    hosts: Mapping[str, Appliance]
    calls: list[subprocess.Popen[str]]
    """All that were placed."""

    @property
    def url(self) -> str:
        """Where to place calls."""
        return f"http://{HOST['us']}:{HTTP_PORT}/v1/realtime/calls"

    def call(self, *options: str) -> subprocess.Popen[str]:
        """A call from home, until it is told to end; its report comes on standard output."""
        command = [sys.executable, "-m", "appliance.cli.main", "call", self.url, "--json"]
        call = subprocess.Popen(
            [*self.internet.inside("home"), *command, "--seconds", "600", *options],
            cwd=TREE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.calls.append(call)
        return call

    def end_calls(self) -> None:
        """Those that are left of a test that has failed."""
        while self.calls:
            with self.calls.pop() as call:
                call.send_signal(signal.SIGINT)

    def first_hop(self, region: str) -> float:
        """Round trip from home to that region in seconds: the median of five TCP handshakes."""
        command = [sys.executable, "-c", _CONNECT, HOST[region], str(HTTP_PORT)]
        done = subprocess.run(
            [*self.internet.inside("home"), *command], capture_output=True, text=True, check=True
        )
        return statistics.median(map(float, done.stdout.split()))

    def sessions(self) -> SessionList:
        """Those of us."""
        return trio.run(self.hosts["us"].sessions)

    def wait_for_near(self) -> None:
        """Until answers name the near site: that has said by then that it knows the way to us."""
        offer = (TREE / "tests/fixtures/offers/chromium-audio.sdp").read_bytes()
        command = [*self.internet.inside("home"), sys.executable, "-c", _OFFER, self.url]
        while (
            f" {HOST['eu']} ".encode()
            not in subprocess.run(command, input=offer, capture_output=True, check=True).stdout
        ):
            pass

    def relays_in_use(self) -> list[str]:
        """The region through which each session of us that talks has its media."""
        of = {str(Endpoint(host, RELAY_PORT)): region for region, host in HOST.items()}
        paths = [row.path for row in self.sessions().rows if row.packets_in > TALKING]
        return [of[path.partition(">")[2].partition("/")[0]] for path in paths]


def report_of(call: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a call say its last word, and give what it reports."""
    call.send_signal(signal.SIGINT)
    said, _ = call.communicate(timeout=60)
    report: dict[str, Any] = json.loads(said)
    return report


@contextmanager
def three_regions() -> Iterator[Regions]:
    """Everything up."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-")))
        net = stack.enter_context(internet(NODES, WAYS))
        key, database = directory / "key", directory / "places.mmdb"
        key.write_text("00112233445566778899aabbccddeeff")
        key.chmod(0o600)
        _write_places(database)
        stack.enter_context(_redis(net, directory))
        hosts: dict[str, Appliance] = {}
        for region in HOST:
            overrides = _config(region, key, database)
            (directory / region).mkdir()
            hosts[region] = start_appliance(
                directory / region, overrides, prefix=net.inside(region)
            )
            stack.callback(trio.run, hosts[region].end)
        for appliance in hosts.values():
            trio.run(ready, appliance)
            trio.run(appliance.until, knows(len(HOST) - 1))
        regions = Regions(net, hosts, [])
        regions.wait_for_near()
        yield regions


@contextmanager
def _redis(net: Internet, directory: Path) -> Iterator[None]:
    command = ["redis-server", "--bind", REDIS, "--protected-mode", "no", "--save", ""]
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [*net.inside("redis"), *command, "--dir", str(directory)], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _config(region: str, key: Path, database: Path) -> dict[str, dict[str, Any]]:
    config: dict[str, dict[str, Any]] = {
        "cluster": {"id": CLUSTER[region]},
        "relay": {"listen": [f"{HOST[region]}:{RELAY_PORT}"]},
        "link": {"mtu": 1372},
        "ufrag": {"keys": {"a": str(key)}},
        "signaling": {"listen": [f"{HOST[region]}:{HTTP_PORT}"], "anonymous": True},
        "supervisor": {"spares": False, "drain_timeout": 0.5},
    }
    config["link"]["address"] = HOST[region]
    config["redis"] = {"url": f"redis://{REDIS}"}
    config["fleet"] = {"everywhere": True, "site": region, "location": PLACE[region]}
    if region == "us":
        config["cluster"]["ingress"] = f"{HOST['us']}:{INGRESS_PORT}"
        config["steering"] = {"database": str(database)}
    return config


def _write_places(path: Path) -> None:
    latitude, longitude = PLACE["eu"]
    writer = MMDBWriter(4, "Test-City", float_type="f64")
    writer.insert_network(
        IPSet(["10.99.9.0/24"]), {"location": {"latitude": latitude, "longitude": longitude}}
    )
    writer.to_db_file(str(path))
