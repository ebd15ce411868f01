"""Which relays an answer names: those of the sites that are best for the client, the best one first.

Where a client is, a trusted proxy says in headers, or else a database by the client's address. With
coordinates the nearest sites are the best; with no more than a country, those that are for it; and with
nothing, the sites as the operator has listed them. Sites that are dead, as far as the fleet knows, are left
out; those that drain or are crowded come after all others. Nobody is refused for where he is: the answer
always names some, and the client's own ICE finds out which of them it can reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import asin, cos, inf, isfinite, radians, sin, sqrt
from typing import Final, NamedTuple

from config.ids import Endpoint
from workers.signaling.client_address import Client
from workers.signaling.quotas import Address
from workers.signaling.site_health import Health, SiteHealth

_DIAMETER: Final = 12_742.0
"""Of the Earth, km."""
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_MAX_NUMBER: Final = 24
"""Characters of a coordinate."""


class Location(NamedTuple):
    """Degrees."""

    latitude: float
    longitude: float


class Whereabouts(NamedTuple):
    """Where a client is, as far as anybody knows."""

    location: Location | None = None
    country: str = ""


class Site(NamedTuple):
    """A place with relays."""

    name: str
    addresses: tuple[Endpoint, ...]
    location: Location | None = None
    countries: frozenset[str] = frozenset()


class Headers(NamedTuple):
    """Names of those in which a proxy says where a client is; empty for none."""

    country: str = ""
    latitude: str = ""
    longitude: str = ""

    def read(self, headers: Mapping[str, str]) -> Whereabouts:
        """What they say; what makes no sense counts as not said."""
        country = headers.get(self.country, "").strip() if self.country else ""
        latitude = _number(headers, self.latitude, 90.0)
        longitude = _number(headers, self.longitude, 180.0)
        return Whereabouts(
            None if latitude is None or longitude is None else Location(latitude, longitude),
            country.upper() if _COUNTRY.fullmatch(country) else "",
        )


class Steering:
    """The operator's sites, and what tells where clients are."""

    def __init__(
        self,
        sites: Sequence[Site] = (),
        most: int = 2,
        headers: Headers = Headers(),  # noqa: B008  # a value
        atlas: Callable[[Address], Whereabouts] | None = None,
        health: SiteHealth = SiteHealth(),  # noqa: B008  # nobody tells it anything
    ) -> None:
        """`most`: sites in an answer. `atlas`: where an address is. `health`: of their addresses."""
        self._sites = tuple(sites)
        self._most = most
        self._headers = headers
        self._atlas = atlas
        self._health = health

    def choose(self, client: Client, headers: Mapping[str, str]) -> tuple[Endpoint, ...]:
        """Relay addresses in order of preference; none if there are no sites."""
        if not self._sites:
            return ()
        ranked = rank(self._sites, self._locate(client, headers))
        best = self._alive(ranked)[: self._most] or ranked[: self._most]
        return tuple(dict.fromkeys(address for site in best for address in site.addresses))

    def _alive(self, ranked: Sequence[Site]) -> list[Site]:
        """Those that live, with the addresses that do; who had better be left alone comes last."""
        health = self._health
        alive = [
            site._replace(addresses=tuple(a for a in site.addresses if health.of(a) < Health.DEAD))
            for site in ranked
        ]
        return sorted(
            (site for site in alive if site.addresses), key=lambda site: health.best(site.addresses)
        )

    def _locate(self, client: Client, headers: Mapping[str, str]) -> Whereabouts:
        """A proxy that says nothing leaves it to the database."""
        said = self._headers.read(headers) if client.vouched else Whereabouts()
        if said.location is not None or self._atlas is None:
            return said
        found = self._atlas(client.address)
        return Whereabouts(found.location, said.country or found.country)


def rank(sites: Sequence[Site], client: Whereabouts) -> list[Site]:
    """The best first; those alike stay in their order."""
    where = client.location

    def rating(site: Site) -> tuple[bool, float]:
        ours = bool(client.country) and client.country in site.countries
        if where is None:
            return not ours, 0.0
        if site.location is None:
            return False, 0.0 if ours else inf
        return False, distance(where, site.location)

    return sorted(sites, key=rating)


def distance(a: Location, b: Location) -> float:
    """Kilometres on a sphere, by the haversine formula."""
    p, q = radians(a.latitude), radians(b.latitude)
    east = radians(b.longitude - a.longitude)
    h = sin((q - p) / 2) ** 2 + cos(p) * cos(q) * sin(east / 2) ** 2
    return _DIAMETER * asin(min(1.0, sqrt(h)))


def _number(headers: Mapping[str, str], name: str, most: float) -> float | None:
    text = headers.get(name, "") if name else ""
    if not text or len(text) > _MAX_NUMBER:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and abs(number) <= most else None
