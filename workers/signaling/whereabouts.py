"""Where a client is, as far as anybody knows, and what is near to it. Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from math import asin, cos, inf, isfinite, radians, sin, sqrt
from typing import Final, NamedTuple, TypeAlias

Farness: TypeAlias = tuple[bool, float]
"""The smaller the nearer: it is another country than that of the client, km."""
STEP: Final = 500.0
"""Kilometres, some 5 ms there and back: less is not worth a way round."""
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
    """Where a client is."""

    location: Location | None = None
    country: str = ""


NOWHERE: Final = Whereabouts()
"""Nobody knows."""


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


def farness(client: Whereabouts, location: Location | None, countries: Collection[str]) -> Farness:
    """How far a place is, to sort by: by its coordinates, or by the countries that it is for."""
    ours = bool(client.country) and client.country in countries
    if client.location is None:
        return not ours, 0.0
    if location is None:
        return False, 0.0 if ours else inf
    return False, distance(client.location, location)


def is_nearer(there: Farness, here: Farness) -> bool:
    """By enough to make a difference."""
    return there[0] < here[0] or (there[1] < inf and there[1] + STEP <= here[1])


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
