"""The fault bench's arithmetic: from arrivals and counts to what was lost, for how long, and who moved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from bench.relay_clients import Trip

AFTER: Final = 1.5
"""Seconds after a fault in which a silence is its doing."""
SETTLED: Final = 1.5
"""Seconds after everything serves again in which it may still be."""


class Fault(NamedTuple):
    """What was done to an appliance; times in seconds of the monotonic clock."""

    kind: str
    at: float
    whole: float
    """When all that should serve served again."""
    spared: frozenset[str] = frozenset()
    """Sessions of which it was to be expected that they end."""


def lost(trip: Trip) -> int:
    """Datagrams of a load that never came back."""
    return trip.sent - trip.received


def gap(times: Sequence[float], at: float, within: float = AFTER) -> float:
    """Seconds: the longest time between two arrivals that overlaps with those after `at`.

    All of them if nothing came at all, or nothing more.
    """
    return max((b - a for a, b in pairwise(times) if b > at and a < at + within), default=within)


def missing(
    times: Sequence[float], numbers: Sequence[int], at: float, within: float = AFTER
) -> int:
    """Frames of a call that never came back, of those that were due after `at`.

    Numbers rise by one as frames are sent. What is missing behind the last one that came is not counted:
    that call is lost.
    """
    came = sorted(zip(numbers, times, strict=True))
    return sum(
        number - before - 1
        for (before, then), (number, time) in pairwise(came)
        if time > at and then < at + within
    )


def moved(before: Sequence[int], after: Sequence[int]) -> int:
    """Flows that some relay has now and another one had; by relay, how many each had and has."""
    return sum(max(0, now - then) for then, now in zip(before, after, strict=True))


def fell_silent(calls: Sequence[Sequence[float]], at: float, until: float) -> int:
    """Calls that still heard something in the second before `at`, and nothing in the last one."""
    return sum(
        any(at - 1 <= time < at for time in times) and not any(until - 1 <= time for time in times)
        for times in calls
    )


def fields_of(fault: Fault, heard: dict[str, Any]) -> dict[str, float]:
    """What the calls that lived lost by it. `heard` is what `bench.fault_calls` prints."""
    within = fault.whole - fault.at + SETTLED
    rows = zip(heard["sessions"], heard["arrivals"], heard["numbers"], strict=True)
    calls = [
        (times, numbers)
        for session, times, numbers in rows
        if session not in fault.spared and any(fault.at - 1 <= t < fault.at for t in times)
    ]
    times = [times for times, _ in calls]
    return {
        f"{fault.kind}_calls": len(calls),
        f"{fault.kind}_sessions_lost": fell_silent(times, fault.at, fault.at + within),
        f"{fault.kind}_datagrams_lost": sum(missing(*call, fault.at, within) for call in calls),
        f"{fault.kind}_gap_ms": round(
            1000 * max((gap(each, fault.at, within) for each in times), default=0.0), 1
        ),
        f"{fault.kind}_whole_ms": round(1000 * (fault.whole - fault.at)),
    }
