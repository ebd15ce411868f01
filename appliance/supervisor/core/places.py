"""The rows of `tandem places`: what hosts say of themselves, and what answers make of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ipc.messages.fleet import FleetHost
from ipc.messages.places import PlaceList, PlaceRow, RankedPlace


def list_places(hosts: Iterable[FleetHost], ranked: Sequence[RankedPlace] | None) -> PlaceList:
    """All hosts, and all places of the configuration: those that answers name come first.

    `hosts`: our own is the first. `ranked`: what signaling says of places; None: it has not answered.
    """
    places = ranked or ()
    rows = [_host(host, places, own=not n) for n, host in enumerate(hosts)]
    rows += _listed(places)
    rows.sort(key=lambda row: (row.rank or len(places) + 1, row.site, not row.own, row.host))
    return PlaceList(tuple(rows), ranked is not None)


def _host(host: FleetHost, places: Iterable[RankedPlace], *, own: bool) -> PlaceRow:
    place, health = next(_matches(host, places), (None, ""))
    return PlaceRow(
        site=host.place.site,
        host=host.host,
        own=own,
        cluster=host.cluster,
        state=host.state,
        silence=host.silence,
        fresh=host.fresh,
        sessions=host.sessions,
        max_sessions=host.max_sessions,
        relays=len(host.relays),
        transceivers=len(host.transceivers),
        crowded=host.crowded,
        takes_calls=host.door is not None and host.door.open,
        addresses=host.advertise,
        location=host.place.location,
        countries=host.place.countries,
        ingress=host.ingress,
        forwards=host.forwards,
        health=health,
        rank=place.rank if place else 0,
        km=place.km if place else None,
    )


def _matches(
    host: FleetHost, places: Iterable[RankedPlace]
) -> Iterator[tuple[RankedPlace | None, str]]:
    """As what answers know it. A place of the configuration is not what hosts say of themselves."""
    for place in places:
        if place.site == host.place.site and not place.listed:
            for each in place.hosts:
                if each.addresses == host.advertise:
                    yield place, each.health


def _listed(places: Iterable[RankedPlace]) -> Iterator[PlaceRow]:
    for place in places:
        if place.listed:
            yield PlaceRow(
                site=place.site,
                listed=True,
                addresses=tuple(address for host in place.hosts for address in host.addresses),
                location=place.location,
                countries=place.countries,
                health=next((host.health for host in place.hosts), ""),
                rank=place.rank,
                km=place.km,
            )
