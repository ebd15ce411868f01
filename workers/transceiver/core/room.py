"""Whether a transceiver can take one more call: a place for it, and time.

Places are a number. Time is measured, because what a call costs differs by fifty between one that is passed
on and one that is decoded and encoded, and from machine to machine. There is none left when all sessions
together, if they talk as those do that have been measured, would take more than `max_busy` of the thread:
so those that were just let in count before they have cost anything. What it takes to set a call up is not
measured: others can wait for that, and it is soon over.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant

MEASURE_EVERY: Final = 0.25
"""Seconds."""
SLIGHT: Final = 0.25
"""Share of the thread below which nothing is concluded from what sessions cost."""


class Room:
    """Of one transceiver."""

    def __init__(self, max_sessions: int, max_busy: float) -> None:
        """`max_busy`: share of the thread that media may take; 1 is all of it, and no limit."""
        self._max_sessions = max_sessions
        self._max_busy = max_busy
        self._since: Instant | None = None
        self._connected = 0
        """When it was measured last."""
        self._shares = (0.0, 0.0)
        """Of the last two measures: whatever holds a process up once is in one of them."""
        self._costs = (0.0, 0.0)
        """Share that one session takes, of the same two; 0 if too little to tell."""

    @property
    def busy(self) -> float:
        """Share of the thread that media takes."""
        return min(self._shares)

    def measure(self, seconds: float, connected: int, now: Instant) -> None:
        """Since the last time media has taken that much of the thread; so many sessions are connected."""
        if self._since is not None and now > self._since:
            share = min(1.0, seconds / (now - self._since))
            talked = (self._connected + connected) / 2
            cost = share / talked if talked and share >= SLIGHT else 0.0
            self._shares, self._costs = (self._shares[1], share), (self._costs[1], cost)
        self._since, self._connected = now, connected

    def has_place(self, sessions: int) -> bool:
        """Beside so many."""
        return sessions < self._max_sessions

    def has_time(self, sessions: int) -> bool:
        """Beside so many, of which some may not talk yet."""
        if self._max_busy >= 1:
            return True
        return max(self.busy, (sessions + 1) * min(self._costs)) <= self._max_busy
