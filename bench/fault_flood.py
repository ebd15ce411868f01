"""The flood of the fault bench: what strangers by the hundred thousand cost those who are established.

flood_per_second         checks a second that strangers sent, every other with a ufrag as minted
flood_established_loss   share of the load's datagrams, sent and echoed meanwhile, that never came back
flood_quiet_loss         the same without a flood, just before
flood_p50_ms, _p99_ms    round trip of the load meanwhile; flood_quiet_p99_ms: before
flood_reached_share      of the strangers' checks, those that a relay read
flood_socket_drops       datagrams of anybody that found no room in a relay's socket
flood_backlog_drops      that the kernel dropped before any socket
flood_datapath_us        CPU of the relays' C threads for each datagram that they read
flood_deciding_us        CPU of all their other threads, again for each datagram read
flood_memory_growth_mb   resident memory of the relays, after less before
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.fault_stage import RELAYS, Stage
from bench.relay_clients import Clients, Trip

LOAD: Final = 5_000
"""Established datagrams a second: load and flood share the machine with what they measure."""
SIZE: Final = 160
COUNTED: Final = 1.5
"""Seconds within which the relays say what they have counted."""
DATAPATH: Final = "datapath"
"""Name of the thread in C."""


class Reading(NamedTuple):
    """What the machine had counted at one moment."""

    received: int
    """Datagrams that relays had read."""
    socket_drops: int
    backlog_drops: int
    datapath: float
    """CPU seconds of the C threads."""
    deciding: float
    """Of all other threads of the relays."""
    memory: int


def flood(
    scene: Stage,
    clients: Clients,
    *,
    rate: int,
    seconds: float,
    cpu: int,
    nice: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Flood the relays for that long while the clients' media go on.

    `nice`: of appliance and load among the sessions of the machine, for one that has other work.
    """
    if nice:
        scene.weigh(nice)
    quiet = clients.load(cpu=cpu, size=SIZE, seconds=min(seconds, 10.0), rate=LOAD, nice=nice)
    log(f"quiet: {quiet}")
    before = read(scene)
    late: list[int] = []
    timer = threading.Timer(0.75 * seconds, lambda: late.append(scene.memory()))
    strangers = scene.flood(rate, seconds)
    timer.start()
    flooded = clients.load(cpu=cpu, size=SIZE, seconds=seconds, rate=LOAD, nice=nice)
    sent = json.loads(strangers.communicate()[0])
    timer.join()
    time.sleep(COUNTED)
    after = read(scene)
    log(f"flood: {sent}, {flooded}\ndrops: {scene.drops()}")
    return {
        **figures(sent["sent"], sent["per_second"], quiet, flooded, before, after),
        "flood_memory_late_mb": round((after.memory - late[0]) / 2**20, 1),
    }


def figures(
    sent: int, rate: float, quiet: Trip, flooded: Trip, before: Reading, after: Reading
) -> dict[str, Any]:
    """The figures of one flood."""
    received = after.received - before.received
    return {
        "flood_per_second": rate,
        "flood_established_loss": _loss(flooded),
        "flood_established_lost": flooded.sent - flooded.received,
        "flood_quiet_loss": _loss(quiet),
        "flood_p50_ms": flooded.p50 / 1000,
        "flood_p99_ms": flooded.p99 / 1000,
        "flood_quiet_p99_ms": quiet.p99 / 1000,
        "flood_reached_share": round(min(1.0, (received - flooded.sent) / sent), 4),
        "flood_socket_drops": after.socket_drops - before.socket_drops,
        "flood_backlog_drops": after.backlog_drops - before.backlog_drops,
        "flood_datapath_us": round((after.datapath - before.datapath) / received * 1e6, 3),
        "flood_deciding_us": round((after.deciding - before.deciding) / received * 1e6, 3),
        "flood_memory_growth_mb": round((after.memory - before.memory) / 2**20, 1),
    }


def _loss(trip: Trip) -> float:
    return round(1 - trip.received / trip.sent, 6)


def read(scene: Stage) -> Reading:
    """Now."""
    drops = scene.drops()
    threads = [thread for relay in range(RELAYS) for thread in _threads(scene.pid(relay))]
    datapath = sum(cpu for name, cpu in threads if name == DATAPATH)
    softnet = Path("/proc/net/softnet_stat").read_text(encoding="ascii").splitlines()
    return Reading(
        received=scene.received(),
        socket_drops=sum(drops["kernel"].values()),
        backlog_drops=sum(int(line.split()[1], 16) for line in softnet),
        datapath=datapath,
        deciding=sum(cpu for _, cpu in threads) - datapath,
        memory=scene.memory(),
    )


def _threads(pid: int) -> list[tuple[str, float]]:
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    return [
        ((t / "comm").read_text().strip(), int((t / "schedstat").read_text().split()[0]) / 1e9)
        for t in tasks
    ]
