"""Heartbeats (RFC 9260, 8.3): is the peer there, when nothing else tells?

The consent checks of ICE ask the same question more often; these keep the round trip measured.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from workers.wire.sctp_chunks import Heartbeat

INTERVAL: Final = 30.0
"""Seconds without an acknowledgement, beside a time-out, from one to the next."""
MAX_INFO: Final = 1024
"""Bytes of one of theirs that we echo."""


class Heartbeats:
    """At most one is on its way."""

    __slots__ = ("_count", "_sent_at", "at")

    def __init__(self) -> None:
        self.at: Instant | None = None
        self._count = 0
        self._sent_at: Instant | None = None

    @property
    def unanswered(self) -> bool:
        """The last one was not answered."""
        return self._sent_at is not None

    def due(self, now: Instant) -> bool:
        """True if it is time."""
        return self.at is not None and now >= self.at

    def postpone(self, now: Instant, timeout: float) -> None:
        """Something was acknowledged: no need to ask."""
        self.at, self._sent_at = now + INTERVAL + timeout, None

    def beat(self, now: Instant, timeout: float) -> Heartbeat:
        """The next one; one without an answer is repeated after a time-out."""
        self._count += 1
        self._sent_at = now
        self.at = now + timeout
        return Heartbeat(False, self._info())

    def answered(self, info: bytes, now: Instant) -> float | None:
        """The round trip, if that is the answer to the last one."""
        if self._sent_at is None or info != self._info():
            return None
        round_trip = now - self._sent_at
        self.postpone(now, max(round_trip, 0.0))
        return round_trip

    def _info(self) -> bytes:
        # Parameter 1, Heartbeat Info, of 12 bytes.
        return b"\0\x01\0\x0c" + self._count.to_bytes(8, "big")
