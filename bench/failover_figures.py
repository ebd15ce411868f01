"""From the times at which calls heard something to gaps and losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

LAST: Final = 1.0
"""Seconds of silence at the end that make a lost call."""


def gap(times: Sequence[float], since: float, until: float) -> float:
    """Seconds: the longest silence of a call after `since`, not counting what of it lay before."""
    heard = [since, *(time for time in times if since < time < until), until]
    return max(after - before for before, after in pairwise(heard))


def lost(calls: Sequence[Sequence[float]], until: float) -> int:
    """Calls that have heard nothing any more in the last second."""
    return sum(not any(until - LAST <= time < until for time in times) for times in calls)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
