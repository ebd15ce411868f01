"""Retransmission time-out (RFC 9260, 6.3), and a timer that backs off.

RFC 9260 starts at 1 s and never goes below it, for a network of 2000. Voice needs its messages sooner:
we start at 500 ms and go down to 200 ms, which is above any delayed acknowledgement. The consent checks
of ICE end a session on a dead path after 30 s, so the time-out stays below 5 s to be of use before.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant

INITIAL: Final = 0.5
MIN: Final = 0.2
MAX: Final = 5.0
MAX_FAILURES: Final = 10
"""Expiries in a row, without any sign of the peer, that make it lost (Association.Max.Retrans)."""
_ALPHA: Final = 1 / 8
_BETA: Final = 1 / 4


class Rto:
    """Smoothed round trip and the time-out made of it, in seconds."""

    __slots__ = ("_variation", "round_trip", "value")

    def __init__(self) -> None:
        self.value = INITIAL
        self.round_trip: float | None = None
        self._variation = 0.0

    def measure(self, sample: float) -> None:
        """A round trip, of something sent once only (Karn)."""
        if self.round_trip is None:
            self.round_trip, self._variation = sample, sample / 2
        else:
            deviation = abs(self.round_trip - sample)
            self._variation += _BETA * (deviation - self._variation)
            self.round_trip += _ALPHA * (sample - self.round_trip)
        self.value = min(max(self.round_trip + 4 * self._variation, MIN), MAX)

    def back_off(self) -> None:
        """A time-out expired: the next is twice as long, until a new measurement."""
        self.value = min(self.value * 2, MAX)


class Retry:
    """Says when to send a control chunk again: after the time-out, doubling each time."""

    __slots__ = ("_interval", "at")

    def __init__(self) -> None:
        self.at: Instant | None = None
        self._interval = 0.0

    def start(self, now: Instant, interval: float) -> None:
        """It was sent for the first time."""
        self._interval, self.at = interval, now + interval

    def again(self, now: Instant) -> None:
        """It was sent once more."""
        self._interval = min(self._interval * 2, MAX)
        self.at = now + self._interval

    def stop(self) -> None:
        """It was answered."""
        self.at = None

    def due(self, now: Instant) -> bool:
        """True if it is time."""
        return self.at is not None and now >= self.at
