"""One grid of time for all processes of a host, for routine that may come at any moment.

Each wake of an idle process costs some hundred microseconds, most of it for caches that are cold. Who
wakes for routine at the same moments as all others shares that: the supervisor hears six workers in one
turn, not in six. `now` is CLOCK_MONOTONIC, which is the same for all of them.
"""

from __future__ import annotations

from typing import Final

BEAT: Final = 1.0
"""Seconds between two life signs of who has news."""
QUIET: Final = 2.0
"""The same of who has none: at the same moments for all processes."""


def until_next(now: float, every: float = BEAT) -> float:
    """Seconds until the next multiple of `every`; more than nothing."""
    return every - now % every


def is_for_all(now: float) -> bool:
    """At a beat, or up to half of one later: whether also those speak who have nothing new to say."""
    return now % QUIET < BEAT / 2
