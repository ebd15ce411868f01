"""Which relays an answer names: those of the sites that are best for the client, the best one first.

Where a client is, a trusted proxy says in headers, or else a database by the client's address. With
coordinates the nearest sites are the best; with no more than a country, those that are for it; and with
nothing, the sites in their order. Sites that are dead, as far as the fleet knows, are left out; those that
drain or are crowded come after all others. Nobody is refused for where he is: the answer always names some,
and the client's own ICE finds out which of them it can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from config.ids import Endpoint
from ipc.messages.fleet import FleetView
from workers.signaling.client_address import Client
from workers.signaling.quotas import Address
from workers.signaling.site_health import Health, SiteHealth
from workers.signaling.sites import Site, Sites
from workers.signaling.whereabouts import NOWHERE, Headers, Whereabouts, farness

MOST_HOSTS: Final = 2
"""Of a place, in an answer: one to use, and one more if that fails."""
MOST_ADDRESSES: Final = 8
"""Of one of them."""


class Steering:
    """Knows the places, and where clients are."""

    def __init__(
        self,
        sites: Sites = Sites(),  # noqa: B008  # nobody tells it anything
        most: int = 2,
        headers: Headers = Headers(),  # noqa: B008  # a value
        atlas: Callable[[Address], Whereabouts] | None = None,
        health: SiteHealth = SiteHealth(),  # noqa: B008  # nobody tells it anything
    ) -> None:
        """`most`: sites in an answer. `atlas`: where an address is. `health`: of their addresses."""
        self._sites = sites
        self._most = most
        self._headers = headers
        self._atlas = atlas
        self._health = health

    def learn(self, view: FleetView) -> None:
        """What is known of the other hosts now."""
        self._sites.update(view)
        self._health.update(view)

    def drain(self, *, draining: bool) -> None:
        """This host takes no new sessions, or does again."""
        self._health.drain(draining=draining)

    def locate(self, client: Client, headers: Mapping[str, str]) -> Whereabouts:
        """Where a client is. A proxy that says nothing leaves it to the database."""
        said = self._headers.read(headers) if client.vouched else NOWHERE
        if said.location is not None or self._atlas is None:
            return said
        found = self._atlas(client.address)
        return Whereabouts(found.location, said.country or found.country)

    def choose(self, client: Client, where: Whereabouts) -> tuple[Endpoint, ...]:
        """Relay addresses in order of preference; none if there are no sites."""
        best = self._best(rank(self._sites.all, where))
        named = (address for site in best for address in self._some_of(site, client))
        return tuple(dict.fromkeys(named))

    def survey(self, where: Whereabouts) -> list[tuple[Site, int, bool]]:
        """All places in order of preference, for an operator.

        Beside each: its number in an answer, 0 if not named; whether the operator has listed it.
        """
        ranked = rank(self._sites.all, where)
        named = {site.name: n for n, site in enumerate(self._best(ranked), 1)}
        return [(site, named.get(site.name, 0), self._sites.lists(site)) for site in ranked]

    def health_of(self, host: tuple[Endpoint, ...]) -> Health:
        """Of a host with these addresses."""
        return self._health.best(host)

    def _best(self, ranked: Sequence[Site]) -> Sequence[Site]:
        """Those that answers name. If all seem dead nobody is believed."""
        return self._alive(ranked)[: self._most] or ranked[: self._most]

    def _alive(self, ranked: Sequence[Site]) -> list[Site]:
        """Those that live, with the addresses that do; who had better be left alone comes last."""
        living = (site._replace(hosts=tuple(map(self._living, site.hosts))) for site in ranked)
        alive = [(self._of(site), site) for site in living if any(site.hosts)]
        return [site for _, site in sorted(alive, key=lambda each: each[0])]

    def _living(self, host: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        of = self._health.of
        return tuple(sorted((each for each in host if of(each) < Health.DEAD), key=of))

    def _of(self, site: Site) -> Health:
        return min(map(self._health.best, site.hosts))

    def _some_of(self, site: Site, client: Client) -> list[Endpoint]:
        """Our own host first, which has the session at hand; of the others, others for each client."""
        seed, own = client.address.packed, self._sites.own

        def rating(host: tuple[Endpoint, ...]) -> tuple[Health, bool, bytes]:
            key = blake2b(seed, key=host[0].pack(), digest_size=8).digest()
            return self._health.best(host), host[0] not in own, key

        chosen = sorted(filter(None, site.hosts), key=rating)[:MOST_HOSTS]
        return [address for host in chosen for address in host[:MOST_ADDRESSES]]


def rank(sites: Sequence[Site], client: Whereabouts) -> list[Site]:
    """The best first; those alike stay in their order."""
    return sorted(sites, key=lambda site: farness(client, site.location, site.countries))
