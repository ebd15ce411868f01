"""What a worker makes of its supervisor's silence.

Each worker says a life sign a second and the supervisor answers. A worker outlives its supervisor: it
serves on, says Hello to whoever comes next, and gives up only after `supervisor.orphan_timeout`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from config.ids import Instant

ORPHANED_AFTER: Final = 5.0
"""Seconds without an answer after which it says in the log that it has no supervisor."""


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
        """Nobody has answered for ORPHANED_AFTER seconds."""
        self._orphan_timeout = orphan_timeout
        self._connection = -1
        self._heard = now

    def welcomed(self, pid: int, connection: int, now: Instant) -> bool:
        """A Welcome came on that connection; true if it is from another supervisor than before."""
        changed = self.supervisor_pid not in (0, pid)
        self.supervisor_pid = pid
        self._connection = connection
        self._heard = now
        return changed

    def answered(self, now: Instant) -> None:
        """The supervisor answered a heartbeat."""
        self._heard = now

    def knows(self, connection: int) -> bool:
        """Whether a supervisor has welcomed us on this connection: before that, only Hello is said."""
        return connection == self._connection

    def beat(self, connection: int) -> Beat:
        """Which life sign to send."""
        return Beat.HEARTBEAT if self.knows(connection) and not self.orphaned else Beat.HELLO

    def changed(self, now: Instant) -> bool:
        """Update `orphaned`; true if it changed."""
        before = self.orphaned
        limit = min(ORPHANED_AFTER, self._orphan_timeout)
        self.orphaned = bool(self.supervisor_pid) and now - self._heard >= limit
        return self.orphaned is not before

    def gave_up(self, now: Instant) -> bool:
        """No supervisor has answered for the whole orphan timeout."""
        return bool(self.supervisor_pid) and now - self._heard >= self._orphan_timeout
