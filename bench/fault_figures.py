"""The fault bench's arithmetic: from arrivals and counts to what was lost, for how long, and who moved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from bench.relay_clients import Trip

AFTER: Final = 1.5
"""Seconds after a fault in which a silence is its doing."""


def lost(trip: Trip) -> int:
    """Datagrams of a load that never came back."""
    return trip.sent - trip.received


def gap(times: Sequence[float], at: float, within: float = AFTER) -> float:
    """Seconds: the longest time between two arrivals that overlaps with those after `at`.

    All of them if nothing came at all, or nothing more.
    """
    return max((b - a for a, b in pairwise(times) if b > at and a < at + within), default=within)


def moved(before: Sequence[int], after: Sequence[int]) -> int:
    """Flows that some relay has now and another one had; by relay, how many each had and has."""
    return sum(max(0, now - then) for then, now in zip(before, after, strict=True))


def fell_silent(calls: Sequence[Sequence[float]], at: float, until: float) -> int:
    """Calls that still heard something in the second before `at`, and nothing in the last one."""
    return sum(
        any(at - 1 <= time < at for time in times) and not any(until - 1 <= time for time in times)
        for times in calls
    )
