"""`python -m bench.faults relay`: what live media lose when relays die, are replaced, or are flooded.
`python -m bench.faults flood --seconds 60`: the flood alone, for longer (bench/fault_flood.py).
`python -m bench.faults appliance`: any process of an appliance dies, and what it takes while nobody calls
(bench/fault_appliance.py). What follows is of the first.

One appliance with two relays. Through a stand-in transceiver go 20,000 datagrams a second of a thousand
established flows; through a real one, at the same time, live calls as `tandem call` makes them.

    kill_datagrams_lost     of all that the load sent in the seconds around a kill -9 of a relay, those that
                            never came back; median over the kills
    kill_gap_ms             longest silence that a call heard around a kill, median over calls and kills; 20
                            would be none at all
    kill_flows_moved        flows that another relay had after a kill than before
    roll_datagrams_lost     the same as the first, while a reload replaces both relays and nobody else
    flood_established_loss  share of the load's datagrams lost while strangers send 200,000 checks a second;
                            this and all of the flood: bench/fault_flood.py
    flood_sessions_lost     live calls that failed, in the flood and in everything before it
    resize_datagrams_lost   the same, while a relay is added and while one is removed
    resize_sessions_lost    live calls that ended meanwhile
    quiet_datagrams_lost    the load's loss with nothing done at all: what of the above is the machine's
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench import fault_appliance
from bench.appliance import free_port
from bench.fault_figures import fell_silent, gap, lost, moved
from bench.fault_flood import flood
from bench.fault_stage import RELAYS, Stage, report_of, stage
from bench.relay_clients import Clients, Trip
from ipc.messages.admin import ReloadReply

FLOWS: Final = 1_000
RATE: Final = 20_000
FLOOD_RATE: Final = 200_000
CALLS: Final = 10
SIZE: Final = 160
FRAME: Final = 0.02


def measure(kills: int, flood_seconds: float, log: Callable[[str], None]) -> dict[str, Any]:
    """The whole bench."""
    seconds = 120.0 + 10.0 * kills + flood_seconds  # at most: they are told when it is over
    with stage(free_port()) as scene, Clients(FLOWS, scene.relay) as clients:
        scene.associate(clients)
        scene.wait_whole()
        calls = scene.calls(CALLS, seconds)
        try:
            found = _measure(scene, clients, kills, flood_seconds, log)
        except BaseException:
            calls.kill()
            raise
        finally:
            ended = time.monotonic()
            calls.send_signal(signal.SIGINT)
        heard = report_of(calls)
    gaps = [1000 * gap(times, at) for at in found.pop("killed_at") for times in heard["arrivals"]]
    log(f"calls: {heard['packets_lost']} of {heard['packets_sent']} packets lost {heard['errors']}")
    silent = fell_silent(heard["arrivals"], found.pop("resized_at"), ended)
    return {
        **found,
        "resize_sessions_lost": silent,
        "kill_gap_ms": round(statistics.median(gaps), 1),
        "kill_gap_worst_ms": round(max(gaps), 1),
        "flood_sessions_lost": heard["sessions_failed"] - silent,
        "calls_packets_lost": heard["packets_lost"],
    }


def _measure(
    scene: Stage, clients: Clients, kills: int, flood_seconds: float, log: Callable[[str], None]
) -> dict[str, Any]:
    quiet = _load(clients, 1.5)
    log(f"quiet: {quiet}")
    losses, killed_at = [], []
    before = _settled(scene)
    for number in range(kills):
        scene.wait_whole()
        pid = scene.pid(number % RELAYS)
        at: list[float] = []
        trip = _load(clients, 2.0, partial(_kill, pid, at))
        killed_at += at
        losses.append(lost(trip))
        log(f"kill {number + 1}: {trip}, {losses[-1]} lost")
    scene.wait_whole()
    after = _settled(scene)
    log(f"flows before {before}, after {after}")

    replies: list[Any] = []
    rolled = _load(clients, 6.0, lambda: replies.append(scene.roll()))
    log(f"roll: {rolled} {replies}")
    if len(replies[0].replaced) < RELAYS:
        raise SystemExit(f"the roll was not finished: {replies[0]}")

    flooded = flood(
        scene, clients, rate=FLOOD_RATE, seconds=flood_seconds, cpu=_cpu(), nice=0, log=log
    )
    resized_at = time.monotonic()
    resized = _resize(scene, clients, log)
    return {
        **resized,
        "resized_at": resized_at,
        "kill_datagrams_lost": statistics.median(losses),
        "kill_datagrams_lost_worst": max(losses),
        "kill_flows_moved": moved(before, after),
        "killed_at": killed_at,
        "roll_datagrams_lost": lost(rolled),
        "roll_datagrams_sent": rolled.sent,
        **flooded,
        "quiet_datagrams_lost": lost(quiet),
    }


def _resize(scene: Stage, clients: Clients, log: Callable[[str], None]) -> dict[str, Any]:
    """One relay more, and one fewer; the latter serves on for a while, which nobody waits for."""
    replies: list[ReloadReply] = []

    def resize(relays: int) -> None:
        replies.append(scene.resize(relays))

    trips = [_load(clients, 2.5, partial(resize, relays)) for relays in (RELAYS + 1, RELAYS)]
    log(f"resize: {trips} {replies}")
    more, fewer = replies
    if len(more.added) != 1 or len(fewer.removed) != 1:
        raise SystemExit(f"the number of relays was not changed: {replies}")
    return {
        "resize_datagrams_lost": sum(map(lost, trips)),
        "resize_datagrams_sent": sum(trip.sent for trip in trips),
    }


def measure_flood(
    rate: int, seconds: float, nice: int, log: Callable[[str], None]
) -> dict[str, Any]:
    """The flood alone, for as long as you like."""
    with stage(free_port()) as scene, Clients(FLOWS, scene.relay) as clients:
        scene.associate(clients)
        scene.wait_whole()
        calls = scene.calls(CALLS, seconds + 60.0)
        try:
            found = flood(
                scene, clients, rate=rate, seconds=seconds, cpu=_cpu(), nice=nice, log=log
            )
        except BaseException:
            calls.kill()
            raise
        finally:
            calls.send_signal(signal.SIGINT)
        heard = report_of(calls)
    return {
        **found,
        "flood_sessions_lost": heard["sessions_failed"],
        "calls_packets_lost": heard["packets_lost"],
        "calls_packets_sent": heard["packets_sent"],
    }


def _load(clients: Clients, seconds: float, event: Callable[[], object] | None = None) -> Trip:
    """The load for that long, with an event half a second after its begin."""
    timer = threading.Timer(0.5, event or (lambda: None))
    timer.start()
    try:
        return clients.load(cpu=_cpu(), size=SIZE, seconds=seconds, rate=RATE)
    finally:
        timer.join()


def _kill(pid: int, at: list[float]) -> None:
    at.append(time.monotonic())
    os.kill(pid, signal.SIGKILL)


def _settled(scene: Stage) -> list[int]:
    """Flows of each relay, when their sum has reached what it must be."""
    deadline = time.monotonic() + 5
    while sum(flows := scene.flows()) < FLOWS and time.monotonic() < deadline:
        time.sleep(0.1)
    return flows


def _cpu() -> int:
    """Where the load runs: the last one; relays are pinned from the first on."""
    return max(os.sched_getaffinity(0))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=["relay", "flood", "appliance"])
    parser.add_argument("--seconds", type=float, default=60.0, help="of `flood`")
    parser.add_argument("--rate", type=int, default=FLOOD_RATE, help="of `flood`, a second")
    parser.add_argument("--nice", type=int, default=0, help="of `flood`: of appliance and load")
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    parser.add_argument("--json", action="store_true", help="print nothing but one JSON object")
    arguments = parser.parse_args()

    def log(line: str) -> None:
        if not arguments.json:
            print(line, flush=True)

    quick = arguments.quick
    if arguments.what == "flood":
        found = measure_flood(arguments.rate, arguments.seconds, arguments.nice, log)
    elif arguments.what == "appliance":
        found = fault_appliance.measure(
            calls=50 if quick else 100, idle_seconds=5.0 if quick else 30.0, log=log
        )
    else:
        found = measure(kills=5 if quick else 10, flood_seconds=8.0 if quick else 60.0, log=log)
    print(json.dumps(found, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
