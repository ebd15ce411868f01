"""How many calls a contender holds on its CPU before it loses one packet in a thousand.

A number is tried with calls that talk for some seconds, placed no faster than their set-up leaves room
for. The search begins where the CPU that a packet was measured to cost would be two thirds used, and goes
up or down by steps until one holds and the next does not, or until its time is over.

What a search finds is a floor: load and, for Tandem, relay and signaling have one CPU as well. Where
`busy` is far from 1, it was they that had no more to give.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from bench.appliance import call
from bench.transceiver_contenders import PACKETS, START, Contender
from bench.usage import threads_cpu

LOSS: Final = 0.001
STEPS: Final = (
    25,
    50,
    100,
    150,
    200,
    250,
    300,
    350,
    400,
    500,
    600,
    700,
    800,
    1000,
    1200,
    1500,
    2000,
)
_BEGIN_AT_MOST: Final = 1000
"""Trials of more take half a minute each."""
SECONDS: Final = 3.0
"""All calls talk, at least."""
_PLACING: Final = 0.3
"""Share of the CPU that set-up may take while calls are placed."""
_MOST_KEPT: Final = 8.0
"""Frames of a call that may be missing at its ends, whatever few calls have shown."""


class Trial(NamedTuple):
    """What so many calls were like."""

    sessions: int
    lost: float
    busy: float
    """Share of the contender's CPU while all talked."""
    failed: int

    @property
    def held(self) -> bool:
        """All calls went well, and next to nothing was lost."""
        return not self.failed and self.lost < LOSS


def lost_of(report: dict[str, Any], kept: float) -> float:
    """Share of the packets that are lost, `kept` frames of each call left out."""
    sent, back = report["packets_sent"], report["packets_received"]
    lost = max(0.0, float(sent - back) - kept * float(report["sessions_ok"]))
    return lost / max(float(sent), 1.0)


def kept_of(reports: Sequence[dict[str, Any]]) -> float:
    """Frames of each call that do not come back even of few: Janus drops those that are there before its
    side of the handshake is over, and the last ones stay in aiortc's jitter buffer. Nothing is overloaded.
    """
    each = [
        (report["packets_sent"] - report["packets_received"]) / max(report["sessions_ok"], 1)
        for report in reports
    ]
    return min(float(statistics.median(each)), _MOST_KEPT)


def first_step(us_per_echo: float) -> int:
    """Where to begin."""
    likely = min(2 / 3 * 1e6 / (PACKETS * max(us_per_echo, 0.1)), _BEGIN_AT_MOST)
    return max([step for step in STEPS if step <= likely], default=STEPS[0])


def search(
    first: int, attempt: Callable[[int], Trial], steps: Sequence[int] = STEPS
) -> Trial | None:
    """The best that held; None if none did. `attempt` may raise TimeoutError: the time is over."""
    best: Trial | None = None
    at, way = steps.index(first), 0
    try:
        while 0 <= at < len(steps):
            trial = attempt(steps[at])
            if trial.held and (best is None or trial.sessions > best.sessions):
                best = trial
            if way and (way > 0) != trial.held:
                break
            way = 1 if trial.held else -1
            at += way
    except TimeoutError:
        pass
    return best


def capacity(
    contender: Contender, *, us_per_echo: float, setup_ms: float, kept: float, budget: float
) -> dict[str, float]:
    """`<name>_capacity` and what its CPU then did, within about so many seconds."""
    deadline = time.monotonic() + budget
    rate = min(100.0, _PLACING * 1000 / max(setup_ms, 0.1))

    def attempt(sessions: int) -> Trial:
        lead = START + sessions / rate + 1.0
        if time.monotonic() + lead + SECONDS > deadline:
            raise TimeoutError
        caller = call(contender.url, count=sessions, rate=rate, seconds=lead + SECONDS)
        time.sleep(lead)
        began, cpu = time.monotonic(), threads_cpu(contender.pid)
        time.sleep(SECONDS)
        busy = (threads_cpu(contender.pid) - cpu) / (time.monotonic() - began)
        report = caller.report()
        lost = lost_of(report, kept)
        return Trial(sessions, lost, busy, report["sessions_failed"])

    best = search(first_step(us_per_echo), attempt)
    name = contender.name
    return {
        f"{name}_capacity": best.sessions if best else 0,
        f"{name}_capacity_busy": round(best.busy, 3) if best else 0.0,
        f"{name}_capacity_lost": round(best.lost, 6) if best else 0.0,
    }
