"""What came back of what was sent: round trips, loss, duplicates, order and jitter of one call."""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from workers.caller.histogram import Histogram

FORGET_AFTER: Final = 500
"""Frames (10 s) after which one is given up, so that a call without echo does not grow."""


class Figures:
    """What has come back so far. Times are in seconds, instants None until there is one."""

    __slots__ = (
        "duplicates",
        "first_back",
        "first_sent",
        "foreign",
        "jitter",
        "last_back",
        "outstanding",
        "received",
        "reordered",
        "sent",
    )

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        """Frames that came back, each counted once."""
        self.duplicates = 0
        self.reordered = 0
        """Frames that came back after a later one."""
        self.foreign = 0
        """Packets that are not what this call sent."""
        self.outstanding = 0
        """Frames that have not come back and have not been given up."""
        self.jitter = 0.0
        """Interarrival jitter (RFC 3550, 6.4.1)."""
        self.first_sent: Instant | None = None
        self.first_back: Instant | None = None
        self.last_back: Instant | None = None

    @property
    def lost(self) -> int:
        """Frames that have not come back; right once nothing is in flight any more."""
        return self.sent - self.received

    @property
    def astray(self) -> dict[str, int]:
        """What should not have come back, or not then, by why; only what there was."""
        kinds = {
            "duplicate": self.duplicates,
            "foreign": self.foreign,
            "out of order": self.reordered,
        }
        return {why: number for why, number in kinds.items() if number}


class Echoes(Figures):
    """Matches frames that come back with those sent, by number."""

    __slots__ = ("_highest", "_left_at", "_transit", "round_trips")

    def __init__(self) -> None:
        super().__init__()
        self._left_at: dict[int, Instant] = {}
        self._highest = -1
        self._transit: float | None = None
        self.round_trips = Histogram()

    def went(self, index: int, now: Instant) -> None:
        """The frame with that number leaves; numbers rise by one."""
        self.sent += 1
        self._left_at[index] = now
        self._left_at.pop(index - FORGET_AFTER, None)
        self.outstanding = len(self._left_at)
        if self.first_sent is None:
            self.first_sent = now

    def came(self, index: int | None, media_time: float, now: Instant) -> None:
        """A packet arrived; `index` is None if it is not ours. `media_time` is its timestamp."""
        if index is None or index >= self.sent:
            self.foreign += 1
            return
        left_at = self._left_at.pop(index, None)
        if left_at is None:
            self.duplicates += 1
            return
        self.outstanding = len(self._left_at)
        self.received += 1
        self.round_trips.add(now - left_at)
        if self.first_back is None:
            self.first_back = now
        self.last_back = now
        if index < self._highest:
            self.reordered += 1
        self._highest = max(self._highest, index)
        transit = now - media_time
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit
