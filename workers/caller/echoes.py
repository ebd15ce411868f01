"""What came back of what was sent: round trips, loss, duplicates, order and jitter of one call."""

from __future__ import annotations

from typing import Final

from workers.caller.histogram import Histogram

FORGET_AFTER: Final = 500
"""Frames (10 s) after which one is given up, so that a call without echo does not grow."""


class Echoes:
    """Matches frames that come back with those sent, by number. Times are in seconds."""

    __slots__ = (
        "_highest",
        "_outstanding",
        "_transit",
        "duplicates",
        "foreign",
        "jitter",
        "received",
        "reordered",
        "round_trips",
        "sent",
    )

    def __init__(self) -> None:
        self._outstanding: dict[int, float] = {}
        self._highest = -1
        self._transit: float | None = None
        self.sent = 0
        self.received = 0
        """Frames that came back, each counted once."""
        self.duplicates = 0
        self.foreign = 0
        """Packets that are not what this call sent."""
        self.reordered = 0
        """Frames that came back after a later one."""
        self.jitter = 0.0
        """Interarrival jitter (RFC 3550, 6.4.1)."""
        self.round_trips = Histogram()

    @property
    def outstanding(self) -> int:
        """Frames that have not come back and have not been given up."""
        return len(self._outstanding)

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

    def went(self, index: int, now: float) -> None:
        """The frame with that number leaves; numbers rise by one."""
        self.sent += 1
        self._outstanding[index] = now
        self._outstanding.pop(index - FORGET_AFTER, None)

    def came(self, index: int | None, media_time: float, now: float) -> None:
        """A packet arrived; `index` is None if it is not ours. `media_time` is its timestamp."""
        if index is None or index >= self.sent:
            self.foreign += 1
            return
        left = self._outstanding.pop(index, None)
        if left is None:
            self.duplicates += 1
            return
        self.received += 1
        self.round_trips.add(now - left)
        if index < self._highest:
            self.reordered += 1
        self._highest = max(self._highest, index)
        transit = now - media_time
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit
