"""What no single value can tell of where hosts and relays are: names, coordinates, countries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from config.findings import Finding
from config.listeners import is_wildcard
from config.model import Config
from config.problems import KeyPath, show_value

MOST_NAME: Final = 64
"""Characters of a place's name, where other hosts hear of it."""
MOST_COUNTRIES: Final = 256
"""More than there are."""
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def find_place_contradictions(config: Config) -> Iterator[Finding]:
    """Everything of that kind."""
    yield from _sites(config)
    yield from _own(config)


def _sites(config: Config) -> Iterator[Finding]:
    names: set[str] = set()
    for index, site in enumerate(config.steering.sites):
        path: KeyPath = ("steering", "sites", index)
        if site.name in names:
            yield Finding((*path, "name"), f"{show_value(site.name)} is there twice")
        names.add(site.name)
        for n, address in enumerate(site.addresses):
            if not address.port:
                yield Finding((*path, "addresses", n), "port 0 is not in 1-65535")
            if is_wildcard(address.host):
                what = f"{address.host} is no address a client could send to"
                yield Finding((*path, "addresses", n), what)
        yield from _where(path, site.location, site.countries)


def _own(config: Config) -> Iterator[Finding]:
    """The place of this host, of which others hear."""
    fleet = config.fleet
    yield from _where(("fleet",), fleet.location, fleet.countries)
    if len(fleet.site) > MOST_NAME or not fleet.site.isprintable():
        yield Finding(("fleet", "site"), f"must be at most {MOST_NAME} printable characters")
    also: tuple[KeyPath, ...] = (("fleet", "listen"), ("redis", "url"))
    for name in ("site", "location", "countries"):
        if getattr(fleet, name) and not config.in_fleet:
            yield Finding(("fleet", name), "needs other hosts: fleet.listen or redis.url", also)
    if fleet.nearest and not (fleet.location or fleet.countries):
        what = "must say where this host is: only then can be told what is nearer"
        yield Finding(("fleet", "location"), what, (("fleet", "nearest"),))


def is_location(numbers: Sequence[float]) -> bool:
    """Nothing, or a latitude and a longitude."""
    if not numbers:
        return True
    return len(numbers) == 2 and -90 <= numbers[0] <= 90 and -180 <= numbers[1] <= 180


def is_country(text: str) -> bool:
    """Like DE; not whether there is one."""
    return _COUNTRY.fullmatch(text) is not None


def _where(path: KeyPath, location: Sequence[float], countries: Sequence[str]) -> Iterator[Finding]:
    if len(location) == 1:
        yield Finding((*path, "location"), "must be [latitude, longitude]")
    elif not is_location(location):
        yield Finding((*path, "location"), "latitude is -90 to 90, longitude -180 to 180")
    for n, country in enumerate(countries):
        if not is_country(country):
            yield Finding((*path, "countries", n), f"{show_value(country)} is not like DE or US")
