"""Which connections of clients may stay: the policy of ICE-TCP, without sockets.

A datagram costs nothing when it has been dropped; a connection costs memory until it is closed, and a
stranger can open as many as it likes. So a connection is a *stranger* until a transceiver has vouched for
a flow on it, which a client needs one round trip for. Strangers are bounded in number, by source and in
time, and a newcomer pushes out the oldest of them: a flood of connections that say nothing keeps nobody
out. Those that are vouched for belong to sessions, and are bounded only by what the process can hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Final, Generic, TypeVar

from config.ids import Instant
from workers.relay.core.limits import source_of

MAX_CONNECTIONS: Final = 16_384
"""Of one worker."""
MAX_STRANGERS: Final = 2_048
STRANGERS_PER_SOURCE: Final = 256
"""By IPv4 address or IPv6 /64: an office whose firewall blocks UDP comes in by one address."""
VOUCHED_WITHIN: Final = 5.0
"""Seconds that a stranger has."""
READS_WITHIN: Final = 5.0
"""Seconds that a client may take nothing of what is sent to it."""

K = TypeVar("K", bound=Hashable)


class Ending(Enum):
    """Why a connection has ended; statistics and documentation use these words."""

    LEFT = "left"
    """Its client, or the network, has closed it."""
    FLOW_OVER = "flow_over"
    """Its flow was removed, or its client silent for `relay.flow_idle`."""
    NOT_VOUCHED = "not_vouched"
    """No check of a session came in time."""
    CROWDED_OUT = "crowded_out"
    """It was the oldest stranger when there were too many."""
    SOURCE_LIMIT = "source_limit"
    """Too many strangers came from its address."""
    FULL = "full"
    """There was no room for one more connection."""
    OVERSIZE = "oversize"
    """It sent a frame that is too long."""
    SLOW_READER = "slow_reader"
    """It took nothing of what was sent to it."""
    NOT_TAKEN = "not_taken"
    """An earlier worker left it, and it could not be taken over."""


class Connections(Generic[K]):
    """Who is here, named by whatever the owner of the sockets likes."""

    def __init__(
        self,
        most: int = MAX_CONNECTIONS,
        strangers: int = MAX_STRANGERS,
        of_source: int = STRANGERS_PER_SOURCE,
    ) -> None:
        self._most = most
        self._most_strangers = strangers
        self._of_source = of_source
        self._strangers: dict[K, tuple[str | bytes, Instant]] = {}
        """The oldest first, each with its source and its deadline."""
        self._sources: Counter[str | bytes] = Counter()
        self._vouched: set[K] = set()

    def __len__(self) -> int:
        return len(self._strangers) + len(self._vouched)

    def admit(
        self, key: K, host: str, now: Instant, within: float = VOUCHED_WITHIN
    ) -> tuple[Ending | None, K | None]:
        """Why that newcomer must go at once, or None; and who must go for its sake, or None.

        `within`: seconds that it has; those who come later have no less.
        """
        source = source_of(host)
        if self._sources[source] >= self._of_source:
            return Ending.SOURCE_LIMIT, None
        oldest = None
        if len(self._strangers) >= self._most_strangers or len(self) >= self._most:
            oldest = next(iter(self._strangers), None)
            if oldest is None:
                return Ending.FULL, None
            self.leave(oldest)
        self._strangers[key] = source, now + min(within, VOUCHED_WITHIN)
        self._sources[source] += 1
        return None, oldest

    def vouch(self, key: K) -> None:
        """A transceiver wants to hear it."""
        if self._forget_stranger(key):
            self._vouched.add(key)

    def leave(self, key: K) -> None:
        """It is here no longer."""
        if not self._forget_stranger(key):
            self._vouched.discard(key)

    def remaining(self, key: K, now: Instant) -> float | None:
        """Seconds that a stranger has left; None for who is none."""
        found = self._strangers.get(key)
        return None if found is None else max(0.0, found[1] - now)

    def overdue(self, now: Instant) -> Iterator[K]:
        """Strangers whose time is over; they are here no longer."""
        while self._strangers:
            key, (_, deadline) = next(iter(self._strangers.items()))
            if deadline > now:
                return
            self._forget_stranger(key)
            yield key

    def _forget_stranger(self, key: K) -> bool:
        found = self._strangers.pop(key, None)
        if found is None:
            return False
        source = found[0]
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        return True
