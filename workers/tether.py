"""What a worker makes of its supervisor's silence.

Each worker gives a life sign a second and the supervisor answers. A worker outlives its supervisor: it
serves on, says Hello to whoever comes next, and gives up only after `supervisor.orphan_timeout`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from config.ids import Instant

ORPHANED_AFTER: Final = 5.0
"""Seconds without an answer after which a worker says in the log that it has no supervisor."""
_MOST_BETWEEN_TICKS: Final = 2.0
"""What counts of the time between two ticks: a process that was itself stopped has heard nobody."""


class Beat(Enum):
    """What the life sign of this second is."""

    HEARTBEAT = "heartbeat"
    HELLO = "hello"


class Tether:
    """Is there a supervisor? Decides from what was heard and when; reads no clock."""

    def __init__(self, orphan_timeout: float, now: Instant) -> None:
        self.supervisor_pid = 0
        """Who welcomed this process last; 0 before the first time."""
        self.orphaned = False
        """Nobody has answered for ORPHANED_AFTER seconds, or the orphan timeout if that is shorter."""
        self._orphan_timeout = orphan_timeout
        self._connection = -1
        self._silence = 0.0
        self._ticked = now

    @property
    def gave_up(self) -> bool:
        """No supervisor has answered for the whole orphan timeout."""
        return self._silence >= self._orphan_timeout

    def welcomed(self, pid: int, connection: int) -> bool:
        """A Welcome came on that connection; true if it is from another supervisor than before."""
        changed = self.supervisor_pid not in (0, pid)
        self.supervisor_pid = pid
        self._connection = connection
        self._silence = 0.0
        return changed

    def answered(self) -> None:
        """The supervisor answered a heartbeat."""
        self._silence = 0.0

    def tick(self, now: Instant) -> bool:
        """Let time pass, about once a second; true if `orphaned` changed. Counts from the first Welcome."""
        if self.supervisor_pid:
            self._silence += min(now - self._ticked, _MOST_BETWEEN_TICKS)
        self._ticked = now
        before = self.orphaned
        self.orphaned = self._silence >= min(ORPHANED_AFTER, self._orphan_timeout)
        return self.orphaned is not before

    def knows(self, connection: int) -> bool:
        """Whether a supervisor has welcomed us on this connection: before that, only Hello is said."""
        return connection == self._connection

    def beat(self, connection: int) -> Beat:
        """Which life sign to give."""
        return Beat.HEARTBEAT if self.knows(connection) and not self.orphaned else Beat.HELLO
