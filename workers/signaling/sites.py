"""The places that answers may name: those of the configuration, and those that hosts say of themselves.

A place of the configuration is the whole truth about its name. Of all others every host is believed that is
of our cluster, or whose relays know the way to it. Hosts that say the same name are one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from config.ids import ClusterId, Endpoint
from ipc.messages.fleet import FleetPlace, FleetView
from workers.signaling.whereabouts import Location

MOST: Final = 256
"""Places that hosts say of themselves; more are not heeded."""


class Site(NamedTuple):
    """A place with relays."""

    name: str
    hosts: tuple[tuple[Endpoint, ...], ...]
    """The addresses of each; of a place that the operator lists, as if it were one."""
    location: Location | None = None
    countries: frozenset[str] = frozenset()


class Sites:
    """All of them, as they are known now."""

    def __init__(
        self,
        listed: Sequence[Site] = (),
        own: FleetPlace = FleetPlace(),  # noqa: B008  # a value
        addresses: tuple[Endpoint, ...] = (),
        cluster: ClusterId = ClusterId(0),  # noqa: B008  # a value
    ) -> None:
        """`own`: where this host is; `addresses`: of its relays, if it has some.

        A host that is nowhere, and to which nobody has listed places, does not heed what others say.
        """
        self.all = tuple(listed)
        """In their order: those of the configuration first."""
        self.own = addresses
        self._listed = self.all
        self._place = own
        self._cluster = cluster
        self.update(FleetView(()))

    def lists(self, site: Site) -> bool:
        """It is one of the configuration."""
        return site in self._listed

    def update(self, view: FleetView) -> None:
        """The newest whole truth about the other hosts."""
        if not (self._place.site or self._listed):
            return
        found: dict[str, Site] = {}
        names = {site.name for site in self._listed}
        if self._place.site and self.own:
            _join(found, self._place, self.own)
        for host in view.hosts:
            near = host.cluster == self._cluster or self._cluster in host.forwards
            if near and host.relays and host.advertise and host.place.site:
                _join(found, host.place, host.advertise)
        more = (found[name] for name in sorted(found) if name not in names)
        self.all = (*self._listed, *list(more)[:MOST])


def _join(found: dict[str, Site], place: FleetPlace, addresses: tuple[Endpoint, ...]) -> None:
    """One more host of a place. Where that is, the first says who says it."""
    site = found.get(place.site) or Site(place.site, ())
    location = Location(*place.location) if place.location else None
    found[place.site] = site._replace(
        hosts=(*site.hosts, addresses),
        location=site.location or location,
        countries=site.countries | frozenset(place.countries),
    )
