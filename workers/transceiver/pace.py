"""When a transceiver looks again: at once at what comes singly, in turns at what comes in crowds.

A wake-up costs as much as ten frames, here and in every process that hears of it. So where work is dense
it is left to gather for a moment, the longer the thinner it comes.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant

SHORTEST: Final = 0.0008
"""Seconds between two turns that others should not have to wait for: whatever is being decided."""
LONGEST: Final = 0.002
"""Of them, the most that a frame waits for company."""
COMPANY: Final = 20
"""Events that are worth a turn: of 200 sessions that talk to back ends those of a millisecond."""
FEW: Final = 4
"""If no more would gather in the longest pause, what comes is served when it comes."""
_MEMORY: Final = 0.02
"""Seconds over which the rate is a mean."""


class Pace:
    """Of one loop. Sans-IO."""

    def __init__(self, now: Instant) -> None:
        self._rate = 0.0
        """Events a second."""
        self._at = now

    def rest(self, served: int, now: Instant, *, urgent: bool) -> float:
        """Seconds from the beginning of a turn, `now`, that served so many events, to that of the next.

        0: when something comes.

        `urgent`: others wait for an answer to some of them, and more of that is to be expected.
        """
        passed, self._at = now - self._at, now
        if passed < _MEMORY:
            self._rate += (served - self._rate * passed) / _MEMORY
        else:
            self._rate = served / passed
        if self._rate * LONGEST < FEW:
            return 0.0
        return SHORTEST if urgent else min(max(COMPANY / self._rate, SHORTEST), LONGEST)
