"""Which transceiver boots are live, which relays know it, and therefore which may take sessions.

Every change of the set of routes gets a new serial and is sent as a whole. A route is *confirmed* once
every relay that was there has applied a serial that contains it; only then may its transceiver take
sessions. Confirmation is kept when a relay is replaced: its successor gets the whole truth when it is
welcomed, and until it reads its sockets the kernel keeps their datagrams, so nobody is refused in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from appliance.supervisor.core.beyond import Beyond
from config.ids import Endpoint, Route, WorkerName
from ipc.messages.routes import LiveRoute, Routes


class RouteTable:
    """Routes, their serial, and what relays have acknowledged."""

    def __init__(self) -> None:
        self._serial = 0
        self._links: dict[Route, Endpoint] = {}
        self._beyond = Beyond()
        self._since: dict[Route, int] = {}
        self._confirmed: set[Route] = set()
        self._applied: dict[WorkerName, int] = {}

    def message(self) -> Routes:
        """The whole truth, for relays."""
        live = tuple(LiveRoute(route, link) for route, link in self._links.items())
        return Routes(self._serial, live, *self._beyond)

    def replace(self, links: Mapping[Route, Endpoint], beyond: Beyond = Beyond()) -> bool:  # noqa: B008  # a value
        """Make these the live routes. True if that changed anything."""
        if (links, beyond) == (self._links, self._beyond):
            return False
        self._serial += 1
        self._links, self._beyond = dict(links), beyond
        self._since = {route: self._since.get(route, self._serial) for route in links}
        self._confirmed &= links.keys()
        return True

    def acknowledge(self, relay: WorkerName, serial: int) -> None:
        """A relay routes by that serial; a serial that was never sent counts as none."""
        if serial <= self._serial:
            self._applied[relay] = max(serial, self._applied.get(relay, 0))

    def forget_relay(self, relay: WorkerName) -> None:
        """The process that acknowledged is gone; its successor knows nothing."""
        self._applied.pop(relay, None)

    def is_current(self, relay: WorkerName) -> bool:
        """This relay's process routes by the newest serial."""
        return self._applied.get(relay, -1) >= self._serial

    def confirm(self, relays: Collection[WorkerName]) -> bool:
        """Confirm what all these relays have applied. True if a route was newly confirmed."""
        if not relays:
            return False
        oldest = min(self._applied.get(relay, 0) for relay in relays)
        fresh = {r for r, since in self._since.items() if since <= oldest} - self._confirmed
        self._confirmed |= fresh
        return bool(fresh)

    def confirm_all(self) -> None:
        """There is no relay here. Those of other hosts are told by the fleet, and nobody waits for them:
        clients repeat a check that nobody could answer yet."""
        self._confirmed |= self._links.keys()

    def is_confirmed(self, route: Route) -> bool:
        """Every relay that counts knows this route."""
        return route in self._confirmed
