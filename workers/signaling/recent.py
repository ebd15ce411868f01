"""What this worker has placed lately, where. Sans-IO."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from config.ids import Instant

MEMORY: Final = 3.0
"""Seconds that a placement counts; by then it is in the table of whoever tells of loads."""
Where = TypeVar("Where", bound=Hashable)


class Recent(Generic[Where]):
    """Counts what a table that is a second or two old cannot know yet."""

    def __init__(self) -> None:
        self._placed: deque[tuple[Instant, Where]] = deque()
        self._load: Counter[Where] = Counter()

    def add(self, where: Where, now: Instant) -> None:
        """One more went there."""
        self._placed.append((now + MEMORY, where))
        self._load[where] += 1

    def forget(self, now: Instant) -> None:
        """Let time pass."""
        while self._placed and self._placed[0][0] <= now:
            _, where = self._placed.popleft()
            self._load[where] -= 1
            if not self._load[where]:
                del self._load[where]

    def __getitem__(self, where: Where) -> int:
        """How many went there lately."""
        return self._load[where]
