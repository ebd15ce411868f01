"""How long a session may last, and how long it may be idle. 0 is for ever.

Both count from CONNECTED. A session is idle while no audio and no message goes in either direction; checks,
reports and silence that a codec does not send keep nobody busy.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from ipc.messages.sessions import CloseReason

WARNING: Final = 30.0
"""Seconds before the maximum duration, or half of it if that is less, that one is warned."""


class Limits:
    """Two deadlines, of which one moves."""

    __slots__ = ("_began", "_idle_timeout", "_max_duration", "_seen", "_warn_at")

    def __init__(self, max_duration: float, idle_timeout: float) -> None:
        self._max_duration = max_duration
        self._idle_timeout = idle_timeout
        self._began: Instant | None = None
        self._seen: Instant = 0.0
        self._warn_at: Instant | None = None

    def begin(self, now: Instant) -> None:
        """The session is connected."""
        self._began = self._seen = now
        if self._max_duration:
            self._warn_at = now + max(self._max_duration - WARNING, self._max_duration / 2)

    def seen(self, at: Instant) -> None:
        """Audio or a message went by at that instant."""
        self._seen = max(self._seen, at)

    def next_timeout(self) -> Instant | None:
        """When `reached` may have something to say."""
        if self._began is None:
            return None
        deadlines = [] if self._warn_at is None else [self._warn_at]
        if self._max_duration:
            deadlines.append(self._began + self._max_duration)
        if self._idle_timeout:
            deadlines.append(self._seen + self._idle_timeout)
        return min(deadlines, default=None)

    def warn(self, now: Instant) -> float | None:
        """Seconds that are left of the maximum duration, once, when they are few."""
        if self._began is None or self._warn_at is None or now < self._warn_at:
            return None
        self._warn_at = None
        return max(0.0, self._began + self._max_duration - now)

    def left(self, now: Instant) -> tuple[float | None, float | None]:
        """Seconds until the maximum duration, and until idle as far as is known here; None: never."""
        if self._began is None:
            return None, None
        longest = self._began + self._max_duration - now if self._max_duration else None
        return longest, self._seen + self._idle_timeout - now if self._idle_timeout else None

    def reached(self, now: Instant) -> CloseReason | None:
        """The limit that has been reached, as far as is known here."""
        if self._began is None:
            return None
        if self._max_duration and now >= self._began + self._max_duration:
            return CloseReason.MAX_DURATION
        if self._idle_timeout and now >= self._seen + self._idle_timeout:
            return CloseReason.IDLE
        return None
