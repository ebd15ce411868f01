"""How soon a change of one host is known to all others, by a real Redis: `python -m bench.registry`.

The registries of so many hosts in one process, as fleet workers run them. One after the other changes what
it says of itself, at any moment of its beat; it counts until each of the others has heard it. From there
to its supervisor and relays it is a message each on the same host. bench.fleet simulates many more.

    known_p50_ms, known_p99_ms   from the change until another host knows it
    known_everywhere_max_ms      until the last of them does, the worst of all changes
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from functools import partial
from typing import Final

import trio

from bench.appliance import free_port
from bench.failover_figures import percentile
from bench.placement import started
from config.ids import ClusterId, HostId
from config.model import LogLevel, LogSection, RedisSection
from ipc.log import open_log
from ipc.messages.fleet import FleetHost
from workers.fleet.core.health import Health
from workers.fleet.core.hosts import Hosts
from workers.fleet.core.lease import Lease
from workers.fleet.core.own import Own
from workers.fleet.registry import BEAT, Registry

WITHIN: Final = 30.0


class Host:
    """One of them."""

    def __init__(self, number: int, url: str, *, count: int) -> None:
        self.name = HostId(f"{number:016x}")
        self.own, self.hosts = Own(1), Hosts(self.name, 1)
        self.heard: dict[HostId, tuple[int, float]] = {}
        """Of each other host the newest change that is known here, and since when."""
        self.registry = Registry(
            RedisSection(url=url),
            self.own,
            self.hosts,
            Lease(0),
            Health(number / count, trio.current_time()),
            open_log(LogSection(level=LogLevel.ERROR), "bench"),
            generation=1,
            everywhere=False,
            leased=lambda ids: None,
            heard=self._look,
        )
        self.say(1)

    def say(self, change: int) -> None:
        """Be another one from now on."""
        self.own.describe(FleetHost(self.name, ClusterId(1), "ready", max_sessions=change))
        self.registry.hurry()

    def _look(self) -> None:
        for host in self.hosts.view():
            if self.heard.get(host.host, (0, 0.0))[0] != host.max_sessions:
                self.heard[host.host] = host.max_sessions, trio.current_time()


async def _all_know(others: list[Host], name: HostId, change: int) -> None:
    with trio.fail_after(WITHIN):
        while any(other.heard.get(name, (0, 0.0))[0] != change for other in others):
            await trio.sleep(0.02)


async def measure(url: str, count: int, changes: int) -> dict[str, float]:
    """So many changes among so many hosts."""
    dice, taken, last = random.Random(1), list[float](), list[float]()
    async with trio.open_nursery() as nursery:
        hosts = [Host(number, url, count=count) for number in range(count)]
        for host in hosts:
            nursery.start_soon(host.registry.keep)
            await trio.sleep(BEAT / count)  # nobody's beats are in step with another's
        for host in hosts:
            await _all_know([other for other in hosts if other is not host], host.name, 1)
        for change in range(2, 2 + changes):
            host = dice.choice(hosts)
            others = [other for other in hosts if other is not host]
            await trio.sleep(dice.uniform(0, 2 * BEAT))
            began = trio.current_time()
            host.say(change)
            await _all_know(others, host.name, change)
            times = [1000 * (other.heard[host.name][1] - began) for other in others]
            taken += times
            last.append(max(times))
        nursery.cancel_scope.cancel()
    return {
        "hosts": count,
        "changes": changes,
        "known_p50_ms": round(percentile(taken, 0.5)),
        "known_p99_ms": round(percentile(taken, 0.99)),
        "known_everywhere_max_ms": round(max(last)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.registry", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (
        tempfile.TemporaryDirectory(prefix="tandem-bench-") as directory,
        started([*command, "--dir", directory], stdout=subprocess.DEVNULL),
    ):
        url = f"redis://127.0.0.1:{port}"
        found = trio.run(partial(measure, url, options.hosts, options.changes))
    print(json.dumps(found) if options.json else "\n".join(f"{k:28}{v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
