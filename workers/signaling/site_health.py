"""Which relays' addresses clients had better not be sent to, as far as the fleet knows. Sans-IO.

An address that no host has ever said to be its own is none of the fleet's business: it counts as well. One
that had a host and has none any more is dead; so is one whose hosts have all been silent for some seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost, FleetView

MOST: Final = 16_384
"""Addresses that are remembered; more do not fit a view."""
_WELL: Final = frozenset({"ready", "degraded"})


class Health(IntEnum):
    """The smaller the better."""

    WELL = 0
    LEAVING = 1
    """It serves whoever is there; new clients had better go elsewhere: it drains, starts or is crowded."""
    DEAD = 2


class SiteHealth:
    """Of addresses, by the hosts that say that they are theirs; the best of them counts."""

    def __init__(self, own: Sequence[Endpoint] = ()) -> None:
        """`own`: addresses of this host's relays."""
        self._own = tuple(own)
        self._draining = False
        self._heard: dict[Endpoint, None] = {}
        self._others: dict[Endpoint, Health] = {}

    def drain(self, *, draining: bool) -> None:
        """This host takes no new sessions, or does again."""
        self._draining = draining

    def update(self, view: FleetView) -> None:
        """The newest whole truth about the other hosts."""
        self._others = {}
        # One without relays says where others have theirs.
        for host in (host for host in view.hosts if host.relays):
            for address in host.advertise:
                known = self._others.get(address, Health.DEAD)
                self._others[address] = min(known, _health(host))
        self._heard.update(dict.fromkeys(self._others))
        while len(self._heard) > MOST:
            del self._heard[next(iter(self._heard))]

    def of(self, address: Endpoint) -> Health:
        """Of one address."""
        found = [Health.DEAD] if address in self._heard else []
        if address in self._others:
            found.append(self._others[address])
        if address in self._own:
            found.append(Health.LEAVING if self._draining else Health.WELL)
        return min(found, default=Health.WELL)

    def best(self, addresses: Iterable[Endpoint]) -> Health:
        """Of a place that can be reached by any of these."""
        return min(map(self.of, addresses), default=Health.DEAD)


def _health(host: FleetHost) -> Health:
    if not host.fresh:
        return Health.DEAD
    return Health.LEAVING if host.crowded or host.state not in _WELL else Health.WELL
