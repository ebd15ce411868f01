"""The stage of the fault bench: two relays, a real transceiver, and a stand-in beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, launched
from bench.native import program
from bench.placement import placed, weigh
from bench.relay_clients import Clients
from bench.relay_peers import stun
from bench.usage import resident
from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from ipc.messages.admin import ReloadReply, ReloadRequest, StatusReply
from ipc.messages.stats import RelayStats
from workers.wire.ufrag import UfragKeys

RELAYS: Final = 2
FLOOD_SIZE: Final = 56
FLOOD_NICE: Final = -10
"""As far as we may: without the right to it, 0."""
_CONFIG: Final = """\
[relay]
listen = ["127.0.0.1:{port}"]
workers = 2
max_pending = 4096
[transceiver]
workers = 2
"""
_STAND_IN: Final = "bench.fault_transceiver"
_TREE: Final = Path(__file__).parent.parent


class Stage:
    """The running appliance and what the bench does to it."""

    def __init__(self, appliance: Appliance, relay: Endpoint) -> None:
        self.appliance = appliance
        self.relay = relay
        self._directory = directory = appliance.directory
        self._ufrags = (directory / "workers/ufrags").read_text().split()

    def associate(self, clients: Clients) -> None:
        """Make each client's flow one that is forwarded."""
        asked = {flow: check(self._ufrags[flow]) for flow in range(clients.count)}
        done = clients.ask(asked.__getitem__, lambda answer: answer[:2] == b"\x01\x01", within=30.0)
        if len(done) < clients.count:
            raise SystemExit(f"{len(done)} of {clients.count} flows were assured")

    def weigh(self, nice: int) -> None:
        """Let everything on the stage go before the machine's other work, or after it."""
        weigh(self.appliance.status().pid, nice)

    def pid(self, relay: int) -> int:
        """Of the process that is that relay now."""
        return next(w.pid for w in self.appliance.status().workers if w.name == f"relay-{relay}")

    def flows(self) -> list[int]:
        """Assured flows of each relay, as it counted last."""
        rows = [w.stats for w in self.appliance.status().workers if w.name.startswith("relay")]
        return [row.flows if isinstance(row, RelayStats) else 0 for row in rows]

    def wait(self, condition: Callable[[StatusReply], bool], within: float) -> bool:
        """Until the status is so; false if it is not in time."""
        deadline = time.monotonic() + within
        while not condition(self.appliance.status()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def wait_whole(self, within: float = 15.0) -> bool:
        """Until everything serves and a spare relay waits."""
        return self.wait(
            lambda s: s.state == "ready" and any(x.role == "relay" and x.waiting for x in s.spares),
            within,
        )

    def roll(self) -> ReloadReply:
        """Replace the relays, and nobody else, one by one: by a key that takes new ones."""
        return self._change(r"max_pending = \d+", "max_pending = 4000")

    def resize(self, relays: int) -> ReloadReply:
        """Have so many relays."""
        return self._change(r"workers = \d+", f"workers = {relays}")

    def _change(self, line: str, to: str) -> ReloadReply:
        """Reload with another first line of that kind: those of relays come first."""
        file = self._directory / "tandem.toml"
        file.write_text(re.sub(line, to, file.read_text(), count=1))
        return self.appliance.ask(ReloadRequest(), ReloadReply, within=60.0)

    def drops(self) -> dict[str, dict[str, int]]:
        """What each relay has dropped, by reason, and the kernel before it."""
        found = {
            w.name: {k: n for k, n in (w.stats.dropped | w.stats.refused).items() if n}
            for w in self.appliance.status().workers
            if isinstance(w.stats, RelayStats)
        }
        port = f":{self.relay.port:04X}"
        sockets = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
        found["kernel"] = {
            f"socket {at}": int(fields[-1])
            for at, fields in enumerate(f for f in sockets if f[1].endswith(port))
        }
        return found

    def received(self) -> int:
        """Datagrams that the relays have read, as they counted last."""
        rows = [w.stats for w in self.appliance.status().workers]
        return sum(row.received for row in rows if isinstance(row, RelayStats))

    def memory(self) -> int:
        """Resident bytes of all relays."""
        return sum(resident(self.pid(relay)) for relay in range(RELAYS))

    def calls(self, count: int, seconds: float) -> subprocess.Popen[str]:
        """Live calls through the real transceiver, connected when this returns."""
        url = f"{self.appliance.status().page.rstrip('/')}/v1/realtime/calls"
        command = [sys.executable, "-m", "bench.fault_calls", url, str(count), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_TREE)
        assert process.stdout is not None
        if process.stdout.readline().strip() != "connected":
            raise SystemExit("the calls did not connect")
        return process

    def flood(self, rate: int, seconds: float) -> subprocess.Popen[str]:
        """Checks of strangers: half of them with ufrags that the real transceiver could have minted."""
        key = bytes.fromhex((self._directory / "state/ufrag.key").read_text())
        keys = UfragKeys({"0": key}, "0")
        # Either of the two may be the real one: it is the one with an rpc.
        (rpc,) = (self._directory / "workers").glob("transceiver-*.rpc")
        _, number, generation = rpc.stem.split("-")
        epoch = Epoch(int(generation) % 65536)
        route = Route(ClusterId(0), TransceiverId(int(number)), epoch)
        mixed = (
            keys.mint(route, os.urandom(6)) if turn % 2 else os.urandom(12).hex()[:23]
            for turn in range(4000)
        )
        datagrams = b"".join(check(ufrag) for ufrag in mixed)
        file = self._directory / "flood"
        file.write_bytes(datagrams)
        target = f"{self.relay.host}:{self.relay.port}"
        command = [program("flood"), "--target", target, "--file", str(file), "--rate", str(rate)]
        command += ["--size", str(FLOOD_SIZE), "--seconds", str(seconds)]
        # What comes from a network waits for nobody's turn.
        return subprocess.Popen(
            placed(command, None, FLOOD_NICE),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def check(ufrag: str) -> bytes:
    """A Binding request that names this ufrag, and no more."""
    return stun(0x0001, (0x0006, f"{ufrag}:client!!".encode()))


def report_of(calls: subprocess.Popen[str]) -> dict[str, Any]:
    """What the calls found, once they have ended."""
    output, _ = calls.communicate()
    found: dict[str, Any] = json.loads(output)
    return found


@contextmanager
def stage(port: int) -> Iterator[Stage]:
    """The appliance, ready, ended behind you."""
    with launched(_CONFIG.format(port=port), _STAND_IN, once=True) as appliance:
        yield Stage(appliance, Endpoint("127.0.0.1", port))
