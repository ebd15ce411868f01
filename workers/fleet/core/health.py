"""How it stands with Redis: reached or away, since when and why, and when to try again."""

from __future__ import annotations

from collections import Counter
from typing import Final

from config.ids import Instant

FIRST: Final = 0.5
MOST: Final = 4.0
"""Seconds between two tries while it is away."""


class Health:
    """What has become of the requests so far."""

    def __init__(self, spread: float, now: Instant) -> None:
        """`spread`, 0 to 1: each host's own, so that not all come back at the same moment."""
        self._spread = spread
        self._since = now
        self._why = "not tried yet"
        self._tries = 0
        self._took = 0.0
        self.reached = False
        self.failures: Counter[str] = Counter()

    def succeeded(self, took: float, now: Instant) -> bool:
        """A round trip of so many seconds. True if it was away before."""
        self._tries = 0
        self._took = took
        if self.reached:
            return False
        self.reached, self._since = True, now
        return True

    def failed(self, reason: str, detail: str, now: Instant) -> bool:
        """A request was not fulfilled. True if all was well before."""
        self.failures[reason] += 1
        self._tries += 1
        self._why = f"{reason}: {detail}" if detail else reason
        if not self.reached:
            return False
        self.reached, self._since = False, now
        return True

    @property
    def delay(self) -> float:
        """Seconds until the next try after a failure."""
        return min(MOST, FIRST * (1 << min(max(self._tries - 1, 0), 8))) * (0.75 + self._spread / 2)

    def text(self, now: Instant) -> str:
        """A line for a human."""
        if self.reached:
            return f"reached, {self._took * 1000:.1f} ms"
        return f"away for {now - self._since:.0f} s: {self._why}"
