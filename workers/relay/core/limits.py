"""How many unverified introductions a second may reach the transceivers.

Whoever holds one valid ufrag can send checks from any number of spoofed addresses, and each costs a
transceiver an HMAC. So they are counted by ufrag, by source and by transceiver. The three bounds are
far above what clients do (a browser with a dozen candidate pairs sends about 20 checks a second) and
far below what hurts. Datagrams of assured flows are not counted here.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address
from typing import Final, Generic, TypeVar

from config.ids import Endpoint, Instant, Route
from workers.wire.types import DropReason

PER_UFRAG: Final = 64
PER_SOURCE: Final = 2048
"""By IPv4 address or IPv6 /64: an office or a carrier's NAT may bring in hundreds of clients at once."""
PER_ROUTE: Final = 4096
MAX_KEYS: Final = 8192
WINDOW: Final = 1.0
NEW_PER_UFRAG: Final = 32
NEW_WINDOW: Final = 30.0
"""Seconds. A client has a flow per interface, family and address of ours, and one more when its NAT
rebinds. But whoever has a session can make flows from any address, each for as long as `flow_idle` and
then the rest of its slot: at PER_UFRAG a dozen sessions would fill the table."""
NEW_COUNTERS: Final = 65_536
RECOVERIES: Final = 4096
"""Introductions of media whose flow a sibling knows: a changed steering moves many clients at once."""
RECOVERIES_PER_SOURCE: Final = 1024

K = TypeVar("K", bound=Hashable)


class WindowLimit(Generic[K]):
    """At most `limit` in each window of a second for each key, and at most MAX_KEYS keys in one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[K, int] = {}
        self._ends: Instant | None = None

    def admit(self, key: K, now: Instant) -> bool:
        """Count one and say whether it is within the limit; a key too many is not."""
        counts = self._counts
        if self._ends is None or now >= self._ends:
            counts.clear()
            self._ends = now + WINDOW
        count = counts.get(key)
        if count is None:
            if len(counts) >= MAX_KEYS:
                return False
            count = 0
        if count >= self._limit:
            return False
        counts[key] = count + 1
        return True


class SketchLimit:
    """At most `limit` (below 256) in each window of NEW_WINDOW seconds for each key.

    Keys share a fixed number of counters by their hash, so no number of keys keeps another one out. Two
    that meet share a limit; with Python's secret hash nobody can choose to meet.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts = bytearray(NEW_COUNTERS)
        self._ends: Instant | None = None

    def admit(self, key: str, now: Instant) -> bool:
        """Count one and say whether it is within the limit."""
        if self._ends is None or now >= self._ends:
            self._counts = bytearray(NEW_COUNTERS)
            self._ends = now + NEW_WINDOW
        at = hash(key) % NEW_COUNTERS
        if self._counts[at] >= self._limit:
            return False
        self._counts[at] += 1
        return True


class IntroductionLimits:
    """The three limits as one question."""

    def __init__(self) -> None:
        self._ufrags: WindowLimit[str] = WindowLimit(PER_UFRAG)
        self._sources: WindowLimit[str | bytes] = WindowLimit(PER_SOURCE)
        self._routes: WindowLimit[Route] = WindowLimit(PER_ROUTE)
        self._newcomers = SketchLimit(NEW_PER_UFRAG)
        self._recoveries: WindowLimit[None] = WindowLimit(RECOVERIES)
        self._recovering: WindowLimit[str | bytes] = WindowLimit(RECOVERIES_PER_SOURCE)

    def refuse(self, ufrag: str, source: Endpoint, route: Route, now: Instant) -> DropReason | None:
        """Why this introduction must not be made; None, and counted, if it may.

        The ufrag goes first: only valid ones get here, so what follows cannot be filled at will.
        """
        if not self._ufrags.admit(ufrag, now):
            return DropReason.UFRAG_LIMIT
        if not self._sources.admit(source_of(source.host), now):
            return DropReason.SOURCE_LIMIT
        if not self._routes.admit(route, now):
            return DropReason.ROUTE_LIMIT
        return None

    def refuse_flow(self, ufrag: str, now: Instant) -> DropReason | None:
        """Why that ufrag must not have one more flow; None, and counted, if it may."""
        return None if self._newcomers.admit(ufrag, now) else DropReason.UFRAG_LIMIT

    def refuse_recovery(self, source: Endpoint, now: Instant) -> DropReason | None:
        """The same for media of a flow that a sibling knows, which name no ufrag.

        They have limits of their own, so that whoever pretends to be known clients keeps no check out.
        """
        if not self._recovering.admit(source_of(source.host), now):
            return DropReason.SOURCE_LIMIT
        if not self._recoveries.admit(None, now):
            return DropReason.ROUTE_LIMIT
        return None


def source_of(host: str) -> str | bytes:
    """What counts as one source: an IPv4 address, or the /64 that an IPv6 one is in."""
    return IPv6Address(host).packed[:8] if ":" in host else host
