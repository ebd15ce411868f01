"""Which transceiver boots are live, and where on the link they are.

A ufrag names a route and never an address, so this table is all that decides where a stranger's
datagram can go: only to what the supervisor has announced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from config.ids import ClusterId, Endpoint, Route, TransceiverId
from workers.relay.core.interface import RouteAdded, RouteRemoved
from workers.wire.types import DropReason


class RouteTable:
    """Live routes. A transceiver has several while an old boot drains."""

    def __init__(self) -> None:
        self._links: dict[Route, Endpoint] = {}
        self._boots: Counter[tuple[ClusterId, TransceiverId]] = Counter()

    def add(self, route: Route, link: Endpoint) -> None:
        """The route is live at that link address."""
        if route not in self._links:
            self._boots[route.cluster, route.transceiver] += 1
        self._links[route] = link

    def remove(self, route: Route) -> bool:
        """The route is gone; False if it was not there."""
        if self._links.pop(route, None) is None:
            return False
        of = route.cluster, route.transceiver
        self._boots[of] -= 1
        if not self._boots[of]:
            del self._boots[of]
        return True

    def link(self, route: Route) -> Endpoint | None:
        """Link address of a live route."""
        return self._links.get(route)

    def why_not(self, route: Route) -> DropReason:
        """Why a route is not live: another boot of that transceiver is, or nothing of it."""
        if self._boots[route.cluster, route.transceiver]:
            return DropReason.STALE_EPOCH
        return DropReason.UNKNOWN_ROUTE


def route_changes(
    old: Mapping[Route, Endpoint], new: Mapping[Route, Endpoint]
) -> list[RouteAdded | RouteRemoved]:
    """What leads from one whole truth to the next; a route that moved is removed, then added."""
    changes: list[RouteAdded | RouteRemoved] = [
        RouteRemoved(route) for route, link in old.items() if new.get(route) != link
    ]
    changes += [RouteAdded(route, link) for route, link in new.items() if old.get(route) != link]
    return changes
