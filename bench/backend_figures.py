"""What the bench of back ends measures, as numbers: percentiles, and what a flush cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Cut(NamedTuple):
    """One flush, in seconds of the monotonic clock."""

    asked: float
    """When the back end said it."""
    last: float
    """When the last frame before the silence left."""
    sent: int
    """Milliseconds of the item that have left."""
    told: int
    """Milliseconds that the back end was told have left."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share, 0 to 1, of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def cut_fields(cuts: Sequence[Cut]) -> dict[str, float]:
    """How late the silence was, and how wrong what was told of it."""
    late = [max(0.0, cut.last - cut.asked) for cut in cuts]
    return {
        "flushes": len(cuts),
        "flush_p50_ms": round(percentile(late, 0.5) * 1000, 2),
        "flush_p99_ms": round(percentile(late, 0.99) * 1000, 2),
        "played_error_ms": max((abs(cut.sent - cut.told) for cut in cuts), default=0),
    }


def delay_fields(round_trips: Sequence[float]) -> dict[str, float]:
    """One way is half of there and back, both of which are the same work."""
    return {
        "added_delay_p50_ms": round(percentile(round_trips, 0.5) / 2 * 1000, 3),
        "added_delay_p99_ms": round(percentile(round_trips, 0.99) / 2 * 1000, 3),
    }
