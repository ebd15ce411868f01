"""The pending flows: bounded, short-lived, found by label, by flow key and by age."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from config.ids import FlowKey, Instant, Route
from ipc.messages.flows import FlowSummary
from workers.relay.core.flow import PendingFlow

LIFE: Final = 5.0
"""Seconds a pending flow lives after its client's latest check."""
MAX_ROUTES_PER_KEY: Final = 4
"""Pending flows of one client port to different transceivers; sane clients have one."""


class PendingFlows:
    """All pending flows.

    Each check of the client prolongs its flow, so the queue by age holds the deadline a flow had when
    it was queued; one that has moved since goes to the back instead of out.
    """

    def __init__(self) -> None:
        self._by_label: dict[int, PendingFlow] = {}
        self._by_key: dict[FlowKey, list[PendingFlow]] = {}
        self._by_age: deque[tuple[Instant, PendingFlow]] = deque()

    def __len__(self) -> int:
        return len(self._by_label)

    def add(self, key: FlowKey, label: int, route: Route, ufrag: str, now: Instant) -> PendingFlow:
        """Hold a new one."""
        flow = PendingFlow(key, label, route, ufrag, now + LIFE)
        self._by_label[label] = flow
        self._by_key.setdefault(key, []).append(flow)
        self._by_age.append((flow.expires, flow))
        return flow

    def remove(self, flow: PendingFlow) -> None:
        """Forget one."""
        del self._by_label[flow.label]
        siblings = self._by_key[flow.key]
        siblings.remove(flow)
        if not siblings:
            del self._by_key[flow.key]

    def values(self) -> Iterable[PendingFlow]:
        """All of them."""
        return self._by_label.values()

    def with_label(self, label: int) -> PendingFlow | None:
        """The one with that label."""
        return self._by_label.get(label)

    def of_key(self, key: FlowKey) -> tuple[PendingFlow, ...]:
        """Those of a client endpoint, at most MAX_ROUTES_PER_KEY, oldest first."""
        return tuple(self._by_key.get(key, ()))

    def of_route_and_key(self, route: Route, key: FlowKey) -> PendingFlow | None:
        """The one of a client endpoint to that transceiver."""
        return next((f for f in self._by_key.get(key, ()) if f.route == route), None)

    def of_route(self, route: Route) -> list[PendingFlow]:
        """Those that wait for one transceiver."""
        return [flow for flow in self._by_label.values() if flow.route == route]

    def next_timeout(self) -> Instant | None:
        """When to call `expired`; early rather than late."""
        return self._by_age[0][0] if self._by_age else None

    def expired(self, now: Instant) -> Iterator[PendingFlow]:
        """Remove and yield those whose time is over."""
        while self._by_age and self._by_age[0][0] <= now:
            _, flow = self._by_age.popleft()
            if self._by_label.get(flow.label) is not flow:
                continue
            if flow.expires > now:
                self._by_age.append((flow.expires, flow))
                continue
            self.remove(flow)
            yield flow


def summary(flow: PendingFlow, now: Instant) -> FlowSummary:
    """As an operator sees it."""
    key, silence = flow.key, max(0.0, LIFE - (flow.expires - now))
    return FlowSummary(
        key.client,
        key.local,
        flow.label,
        flow.route,
        "pending",
        silence,
        flow.link,
        transport=key.transport.name.lower(),
    )
