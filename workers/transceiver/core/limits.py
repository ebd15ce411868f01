"""How long a session may last, and how long it may be idle. 0 is for ever.

Both count from CONNECTED. A session is idle while no audio and no message goes in either direction; checks,
reports and silence that a codec does not send keep nobody busy.
"""

from __future__ import annotations

from config.ids import Instant
from ipc.messages.sessions import CloseReason


class Limits:
    """Two deadlines, of which one moves."""

    __slots__ = ("_began", "_idle_timeout", "_max_duration", "_seen")

    def __init__(self, max_duration: float, idle_timeout: float) -> None:
        self._max_duration = max_duration
        self._idle_timeout = idle_timeout
        self._began: Instant | None = None
        self._seen: Instant = 0.0

    def begin(self, now: Instant) -> None:
        """The session is connected."""
        self._began = self._seen = now

    def seen(self, at: Instant) -> None:
        """Audio or a message went by at that instant."""
        self._seen = max(self._seen, at)

    def next_timeout(self) -> Instant | None:
        """When `reached` may have something to say."""
        if self._began is None:
            return None
        deadlines = []
        if self._max_duration:
            deadlines.append(self._began + self._max_duration)
        if self._idle_timeout:
            deadlines.append(self._seen + self._idle_timeout)
        return min(deadlines, default=None)

    def reached(self, now: Instant) -> CloseReason | None:
        """The limit that has been reached, as far as is known here."""
        if self._began is None:
            return None
        if self._max_duration and now >= self._began + self._max_duration:
            return CloseReason.MAX_DURATION
        if self._idle_timeout and now >= self._seen + self._idle_timeout:
            return CloseReason.IDLE
        return None
