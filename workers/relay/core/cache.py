"""The flow cache as a relay sees it: what to have written there, and whom to ask about strangers.

An assured flow is written once and again every REWRITE seconds, which its client's checks bring about: they
all pass the core. A flow that is refused or over is taken out. Nothing here waits for anybody.

What the cache says is a hint and no more. The route must be live, and its owner must know the client's
address: the flow is introduced as one that a sibling knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Instant, Route, TransceiverId
from workers.relay.core.flowtable import FlowTable
from workers.relay.core.hold import Hold
from workers.relay.core.interface import (
    CacheSeen,
    ForgetRoute,
    InstallFlow,
    KeepRoute,
    LookUp,
    Output,
    RemoveFlow,
    RouteFound,
    Upcall,
)
from workers.wire.types import DropReason

REWRITE: Final = 3600.0
"""Seconds: half of the time for which the cache keeps a flow (workers/fleet/core/flows.py)."""
BURIALS_SHARE: Final = 8
"""Of the slots, the share that may go to tombstones of strangers in WINDOW seconds."""
WINDOW: Final = 70.0
"""Seconds that such a slot is gone for: its tombstone's silence, and its rest."""
_NOWHERE: Final = Route(ClusterId(0), TransceiverId(0), Epoch(0)), Endpoint("::", 0)
"""Where a tombstone leads."""


@dataclass(slots=True)
class CacheCounters:
    """Totals."""

    asked: int = 0
    """Flows."""
    found: int = 0
    missed: int = 0
    """The cache does not know it, or names a route that is not live."""


class Cache:
    """At first there is none; CacheSeen says when there is."""

    def __init__(self, max_flows: int) -> None:
        self._hold = Hold()
        self._there = False
        self._generation = -1
        self._due: dict[int, Instant] = {}
        """Labels of flows that have been written, and when they are to be written again."""
        self._burials = 0
        self._most_burials = max_flows // BURIALS_SHARE
        self._window: Instant = 0.0
        self.counters = CacheCounters()

    @property
    def held(self) -> int:
        """Datagrams that wait."""
        return self._hold.datagrams

    def seen(self, event: CacheSeen) -> list[Output]:
        """It is there, or away; another generation of it has forgotten everything."""
        self._there = event.there
        if event.there and event.generation != self._generation:
            self._generation = event.generation
            self._due.clear()
        return []

    def keep(
        self, key: FlowKey, label: int, route: Route, now: Instant, *, recovered: bool = False
    ) -> list[Output]:
        """That flow is assured: have it written, if it is time; who had it before us has written it."""
        if not self._there or key.label is not None or now < self._due.get(label, now):
            return []
        if recovered:
            self._due[label] = now + REWRITE / 2
            return []
        self._due[label] = now + REWRITE
        return [KeepRoute(key, route)]

    def drop(self, key: FlowKey | None) -> list[Output]:
        """Its owner has said that it is over."""
        return [ForgetRoute(key)] if self._there and key is not None and key.label is None else []

    def ended(self, label: int) -> None:
        """A label is nobody's any more."""
        self._due.pop(label, None)

    def hold(self, event: Upcall, source: Endpoint, now: Instant) -> list[Output] | DropReason:
        """Media of a stranger: keep it and ask, or why not."""
        if not self._there or event.key.label is not None:
            return DropReason.UNKNOWN_FLOW
        taken = self._hold.take(event, source, now)
        if isinstance(taken, DropReason):
            return taken
        if not taken:
            return []
        self.counters.asked += 1
        return [LookUp(event.key)]

    def found(self, event: RouteFound) -> list[Upcall]:
        """An answer: what waited for it."""
        waited = self._hold.release(event.key)
        if waited:
            self.counters.found += event.route is not None
            self.counters.missed += event.route is None
        return waited

    def bury(self, key: FlowKey, table: FlowTable, now: Instant) -> list[Output]:
        """A tombstone for a stranger, if that is within bounds."""
        if now >= self._window:
            self._window, self._burials = now + WINDOW, 0
        label = table.reserve(now) if self._burials < self._most_burials else None
        if label is None:
            return []
        self._burials += 1
        table.assure(label)
        return [InstallFlow(key, label, *_NOWHERE), RemoveFlow(label)]

    def next_timeout(self) -> Instant | None:
        """When to call `overdue`."""
        return self._hold.next_timeout()

    def overdue(self, now: Instant) -> int:
        """How many datagrams have waited in vain; they are gone."""
        return len(self._hold.overdue(now))
