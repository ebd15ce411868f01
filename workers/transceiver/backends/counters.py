"""What is counted of a back end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ipc.backend.messages import ErrorCode


@dataclass(slots=True)
class PoolCounters:
    """Plain totals."""

    items_in: int = 0
    items_out: int = 0
    malformed: int = 0
    """Batches that were none."""
    unexpected: int = 0
    """Items of end points that had not said hello, or of sessions that are not theirs."""
    without_credit: int = 0
    """Audio that its back end was too slow for."""
    too_early: int = 0
    """Messages for which there was no room to wait until somebody accepted their session."""
    resumed: int = 0
    """Sessions that went on at another end point."""
    errors: Counter[ErrorCode] = field(default_factory=Counter)
    """That back ends said of our items."""
