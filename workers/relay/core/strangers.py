"""Who gets a pending flow: clients for whom nobody has vouched, within bounds."""

from __future__ import annotations

from config.ids import FlowKey, Instant, Route
from workers.relay.core.classify import Check
from workers.relay.core.flow import PendingFlow
from workers.relay.core.flowtable import FlowTable
from workers.relay.core.interface import Upcall
from workers.relay.core.limits import IntroductionLimits
from workers.relay.core.pending import MAX_ROUTES_PER_KEY, PendingFlows
from workers.relay.core.ways import client_of
from workers.wire.types import DropReason


class Strangers:
    """Reserves their slots and counts their introductions."""

    def __init__(self, table: FlowTable, pending: PendingFlows, most: int) -> None:
        """`most`: pending flows."""
        self._table = table
        self._pending = pending
        self._most = most
        self._limits = IntroductionLimits()

    def admit(self, event: Upcall, check: Check, now: Instant) -> PendingFlow | DropReason:
        """The flow that a check belongs to, a new one if need be; or why it gets none."""
        found = self._pending.of_route_and_key(check.route, event.key)
        if found is None and self._is_full(event.key):
            return DropReason.PENDING_FULL
        limit = self._limits.refuse(check.ufrag, client_of(event), check.route, now)
        if limit is None and found is None:
            limit = self._limits.refuse_flow(check.ufrag, now)
        if limit is not None:
            return limit
        return found or self._reserve(event.key, check.route, check.ufrag, now)

    def refuse(self, event: Upcall, flow: PendingFlow, now: Instant) -> DropReason | None:
        """Why one more introduction on that flow must not be made; None, and counted, if it may."""
        return self._limits.refuse(flow.ufrag, client_of(event), flow.route, now)

    def recover(self, event: Upcall, route: Route, now: Instant) -> PendingFlow | DropReason:
        """The flow that media belong to which a sibling or the cache knows; or why they get none."""
        limit = self._limits.refuse_recovery(client_of(event), now)
        if limit is not None:
            return limit
        flow: PendingFlow | DropReason | None = self._pending.of_route_and_key(route, event.key)
        if flow is None:
            # Half of the pending flows are for checks, whatever pretends to be a sibling's client.
            if self._is_full(event.key) or len(self._pending) >= self._most // 2:
                return DropReason.PENDING_FULL
            flow = self._reserve(event.key, route, "", now)
        if isinstance(flow, PendingFlow):
            flow.recovered = True
        return flow

    def _is_full(self, key: FlowKey) -> bool:
        most_of_key = len(self._pending.of_key(key)) >= MAX_ROUTES_PER_KEY
        return most_of_key or len(self._pending) >= self._most

    def _reserve(
        self, key: FlowKey, route: Route, ufrag: str, now: Instant
    ) -> PendingFlow | DropReason:
        label = self._table.reserve(now)
        if label is None:
            return DropReason.SLOTS_FULL
        return self._pending.add(key, label, route, ufrag, now)
