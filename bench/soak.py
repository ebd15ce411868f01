"""Does anything grow? `python -m bench.soak [--sessions N] [--minutes M] [--quick] [--json] [--save FILE]`.

Calls come and go for as long as you like: so many at a time, each for a minute (--quick: for six seconds),
all with audio, one in ten with a data channel, too. Meanwhile every process of the appliance is looked at:
memory, descriptors, flows, sessions. The slopes are of the second half, from when everything has been
touched once. The number is held: where callers are late, so are those who follow them.

    <role>_mb, <role>_mb_per_hour      resident memory of the largest worker of that role, and its slope
    <role>_descriptors, ..._per_hour   open descriptors, likewise
    flows_max, sessions_max            in the relay's table, and at the transceiver
    flows_left, sessions_left          when the last call has ended, and a flow's idle time has passed
    packets_lost, calls_failed, jitter_p99_ms, rtt_p99_ms   by the callers' own account
    caller_late_max_ms                 how late the callers themselves were

`--save FILE.json` writes them with the lines of bench/soak_picture.py, and its picture to FILE.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from bench.appliance import Appliance, Caller, running
from bench.figures import show
from bench.soak_picture import picture
from bench.usage import resident
from ipc.messages.stats import RelayStats, TransceiverStats

Report: TypeAlias = dict[str, Any]
"""Of a caller, by name of the field."""
EVERY: Final = 1.0
"""Seconds between two looks."""
OVERLAP: Final = 3
"""Batches of callers that talk at the same time: one ends and one begins, the others go on."""
WITH_DATA: Final = 10
"""One in so many calls has a data channel: their messages are Python's at both ends."""
FLOW_IDLE: Final = 62.0
"""Seconds after which the relay has let go of a silent flow."""
POINTS: Final = 240
"""Of a line, at most."""
ROLES: Final = ("relay", "transceiver", "signaling")
_HOUR: Final = 3600.0


class Look(NamedTuple):
    """What there was at a time."""

    at: float
    memory: dict[str, int]
    """Bytes, by role."""
    descriptors: dict[str, int]
    flows: int
    sessions: int
    created: int
    """Sessions, since the start."""


def look(appliance: Appliance, began: float) -> Look:
    """At all workers now."""
    memory, descriptors = dict.fromkeys(ROLES, 0), dict.fromkeys(ROLES, 0)
    flows = sessions = created = 0
    for worker in appliance.status().workers:
        role = worker.name.partition("-")[0]
        if role not in memory:
            continue
        memory[role] = max(memory[role], resident(worker.pid))
        held = sum(1 for _ in Path(f"/proc/{worker.pid}/fd").iterdir())
        descriptors[role] = max(descriptors[role], held)
        if isinstance(worker.stats, RelayStats):
            flows += worker.stats.flows
        if isinstance(worker.stats, TransceiverStats):
            sessions += worker.stats.sessions
            created += worker.stats.created_total
    return Look(time.monotonic() - began, memory, descriptors, flows, sessions, created)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through them that fits best, in units an hour; 0 of fewer than three."""
    if len(points) < 3:
        return 0.0
    times, values = zip(*points, strict=True)
    return statistics.linear_regression(times, values).slope * _HOUR


def figures(looks: Sequence[Look]) -> dict[str, Any]:
    """The flat fields that follow from all looks."""
    half = [each for each in looks if each.at >= looks[-1].at / 2]
    found: dict[str, Any] = {
        "looks": len(looks),
        "seconds": round(looks[-1].at, 1),
        "flows_max": max(each.flows for each in looks),
        "sessions_max": max(each.sessions for each in looks),
    }
    for role in ROLES:
        memory = [(each.at, each.memory[role] / 1e6) for each in half]
        held = [(each.at, float(each.descriptors[role])) for each in half]
        found[f"{role}_mb"] = round(half[-1].memory[role] / 1e6, 1)
        found[f"{role}_mb_per_hour"] = round(slope(memory), 1)
        found[f"{role}_descriptors"] = half[-1].descriptors[role]
        found[f"{role}_descriptors_per_hour"] = round(slope(held), 1)
    return found


def heard(reports: Sequence[Report]) -> dict[str, Any]:
    """The same of what the callers say."""
    return {
        "calls": sum(each["sessions_ok"] + each["sessions_failed"] for each in reports),
        "calls_failed": sum(each["sessions_failed"] for each in reports),
        "packets": sum(each["packets_sent"] for each in reports),
        "packets_lost": sum(each["packets_lost"] for each in reports),
        "messages_lost": sum(each["messages_lost"] for each in reports),
        "jitter_p99_ms": max((each["jitter_p99_ms"] or 0.0 for each in reports), default=None),
        "rtt_p99_ms": max((each["rtt_p99_ms"] or 0.0 for each in reports), default=None),
        "caller_late_max_ms": max((each["tick_late_max_ms"] for each in reports), default=None),
    }


def lines(looks: Sequence[Look]) -> dict[str, list[float]]:
    """What was seen over time, in at most POINTS points: seconds, and values of that time."""
    few = looks[:: -(-len(looks) // POINTS)]
    found: dict[str, list[float]] = {
        "at": [round(each.at, 1) for each in few],
        "sessions": [each.sessions for each in few],
        "flows": [each.flows for each in few],
    }
    for role in ROLES:
        found[f"{role}_mb"] = [round(each.memory[role] / 1e6, 1) for each in few]
        found[f"{role}_descriptors"] = [each.descriptors[role] for each in few]
    return found


def batches(ended: Sequence[tuple[float, Sequence[Report]]]) -> dict[str, list[float]]:
    """The same of calls, by when they ended: packets lost of a million, and jitter."""
    found: dict[str, list[float]] = {"at": [], "lost_ppm": [], "jitter_p99_ms": []}
    for at, reports in ended:
        summed = heard(reports)
        found["at"].append(round(at, 1))
        found["lost_ppm"].append(round(1e6 * summed["packets_lost"] / max(1, summed["packets"]), 1))
        found["jitter_p99_ms"].append(summed["jitter_p99_ms"])
    return found


class Callers:
    """So many calls at a time, in batches: one ends and one begins, the others go on."""

    def __init__(self, appliance: Appliance, sessions: int, life: float) -> None:
        """`life`: seconds that a call talks."""
        self.batch = max(2, sessions // OVERLAP)
        self.sessions = self.batch * OVERLAP
        self.reports: list[tuple[float, list[Report]]] = []
        """Of each batch that has ended, and when."""
        self._appliance, self._life = appliance, life
        self._talking: list[list[Caller]] = []
        self._due = 0.0
        self._asked = 0

    def tend(self, now: float, left: float, seen: Look) -> None:
        """Hear those who have ended, and let the next ones begin; in `left` seconds all is over."""
        for callers in [each for each in self._talking if all(one.ended for one in each)]:
            self._talking.remove(callers)
            self.reports.append((now, [caller.report() for caller in callers]))
        if now >= self._due and to_come(self._asked, self._failed, seen) <= self.sessions:
            self._due = now + self._life / OVERLAP
            self._begin(min(self._life, max(1.0, left)))

    def rest(self, now: float) -> list[Report]:
        """Wait for those who still talk; what all have said."""
        self.reports += [(now, [one.report() for one in callers]) for callers in self._talking]
        self._talking.clear()
        return [*chain(*(reports for _, reports in self.reports))]

    def close(self) -> None:
        """Nobody talks any more."""
        for caller in chain(*self._talking):
            caller.end()

    @property
    def _failed(self) -> int:
        return sum(each["sessions_failed"] for _, reports in self.reports for each in reports)

    def _begin(self, seconds: float) -> None:
        with_data, apart = max(1, self.batch // WITH_DATA), self._life / OVERLAP
        self._talking.append([])
        for count, data in ((self.batch - with_data, {}), (with_data, {"data": True})):
            caller = self._appliance.call(count=count, rate=count / apart, seconds=seconds, **data)
            self._talking[-1].append(caller)
        self._asked += self.batch


def to_come(asked: int, failed: int, seen: Look) -> int:
    """Calls that there are, and those that callers have yet to place."""
    return seen.sessions + max(0, asked - failed - seen.created)


def soak(sessions: int, seconds: float, life: float, settle: float) -> dict[str, Any]:
    """The whole bench."""
    looks: list[Look] = []
    with running() as appliance, closing(Callers(appliance, sessions, life)) as callers:
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            looks.append(look(appliance, began))
            callers.tend(now, seconds - now, looks[-1])
            print(f"{now:6.0f} of {seconds:.0f} s, {looks[-1].sessions} sessions", file=sys.stderr)
            time.sleep(EVERY)
        ended = [*callers.reports]
        found = figures(looks) | heard(callers.rest(now))
        time.sleep(settle)
        after = look(appliance, began)
        found |= {"sessions_left": after.sessions, "flows_left": after.flows}
    found |= {"sessions": callers.sessions, "load_average": round(os.getloadavg()[0], 2)}
    return found | {"series": lines(looks), "batches": batches(ended)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--quick", action="store_true", help="60 sessions for half a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.json", help="write it there, and the picture"
    )
    options = parser.parse_args()
    # So that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.quick:
        found = soak(60, 30.0, 6.0, 2.0)
    else:
        found = soak(options.sessions, 60 * options.minutes, 60.0, FLOW_IDLE)
    if options.save:
        options.save.write_text(json.dumps(found) + "\n", encoding="utf-8")
        options.save.with_suffix(".svg").write_text(picture(found), encoding="utf-8")
    del found["series"], found["batches"]
    show(found, as_json=options.json)


if __name__ == "__main__":
    main()
