"""So many lines of one event a second and no more: a flood of mishaps must not become a flood of lines."""

from __future__ import annotations

from typing import Final

MOST: Final = 100
"""Lines of one event in one second."""
EVENTS: Final = 256
"""Events that are counted apart; they are words in our code, so there are fewer."""


class LineLimit:
    """Counts lines by event, in seconds that begin with the first of them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: dict[str, tuple[float, int]] = {}
        """By event: when its second began, and its lines since."""
        self._left_out: dict[str, int] = {}

    def admit(self, event: str, now: float) -> int | None:
        """How many like it were left out since the last; None if this one is, too."""
        began, lines = self._seen.get(event, (now, 0))
        if now - began >= 1.0:
            began, lines = now, 0
        if lines >= self._most:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return None
        if event not in self._seen and len(self._seen) >= EVENTS:
            self._seen.clear()
        self._seen[event] = began, lines + 1
        return self._left_out.pop(event, 0)
