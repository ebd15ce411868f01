"""How the audio of all sessions has fared: what RTCP says of each, as figures that only grow.

A client's report tells of our stream and gives a round trip; when we report, we know of the client's. What
a client says is its word alone: it can claim a loss of all we sent, but not more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from ipc.messages.stats import JITTER_BOUNDS, ROUND_TRIP_BOUNDS, Histogram, QualityStats
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.streams.interface import StreamStats

MOST: Final = 60.0
"""Seconds: what is said to be more counts as that."""


class Spread:
    """A histogram that grows."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """One more measured value."""
        value = min(max(0.0, value), MOST)
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def taken(self) -> Histogram:
        """As it stands now."""
        return Histogram(tuple(self._counts), self._sum)


class Loss:
    """Of one session, as far as it has been counted."""

    __slots__ = ("_in", "_out")

    def __init__(self) -> None:
        self._in = self._out = 0

    def more_in(self, lost: int) -> int:
        """By how much the peer's stream lost more than ever before."""
        more = max(0, lost - self._in)
        self._in += more
        return more

    def more_out(self, lost: int, sent: int) -> int:
        """The same of ours, of which so many packets were sent."""
        more = max(0, min(lost, sent) - self._out)
        self._out += more
        return more


class Quality:
    """Of all sessions of a transceiver, those that are over too."""

    def __init__(self) -> None:
        self._round_trip = Spread(ROUND_TRIP_BOUNDS)
        self._jitter_in = Spread(JITTER_BOUNDS)
        self._jitter_out = Spread(JITTER_BOUNDS)
        self._lost_in = 0
        self._lost_out = 0

    def measured(self, loss: Loss, stats: StreamStats) -> None:
        """The session is about to report on the peer's stream."""
        if stats.packets_in:
            self._jitter_in.add(stats.jitter)
            self._lost_in += loss.more_in(stats.lost)

    def reported(
        self, loss: Loss, reported: Reported, round_trip: float | None, stats: StreamStats
    ) -> None:
        """The peer has reported on ours."""
        self._jitter_out.add(reported.jitter)
        self._lost_out += loss.more_out(reported.lost, stats.packets_out)
        if round_trip is not None:
            self._round_trip.add(round_trip)

    def taken(self) -> QualityStats:
        """A snapshot."""
        return QualityStats(
            self._round_trip.taken(),
            self._jitter_in.taken(),
            self._jitter_out.taken(),
            self._lost_in,
            self._lost_out,
        )
