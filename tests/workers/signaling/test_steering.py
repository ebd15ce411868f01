"""Which sites are best for whom."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost, FleetPlace, FleetView
from tests.support.signaling import CLUSTER, other_host
from workers.signaling.client_address import NOBODY, Client
from workers.signaling.quotas import Address
from workers.signaling.site_health import SiteHealth
from workers.signaling.sites import Site, Sites
from workers.signaling.steering import Steering, rank
from workers.signaling.whereabouts import Headers, Location, Whereabouts

FRANKFURT = Site(
    "frankfurt",
    ((Endpoint("203.0.113.1", 3478), Endpoint("2001:db8:1::1", 3478)),),
    Location(50.1, 8.7),
    frozenset({"DE", "AT"}),
)
VIRGINIA = Site("virginia", ((Endpoint("203.0.113.2", 3478),),), Location(39.0, -77.5))
TOKYO = Site("tokyo", ((Endpoint("203.0.113.3", 3478),),), Location(35.7, 139.7), frozenset({"JP"}))
SITES = (VIRGINIA, TOKYO, FRANKFURT)
NAMES = Headers("country", "latitude", "longitude")
TRUSTED = Client(ip_address("192.0.2.1"), forwarded=True, vouched=True)
PARIS = {"latitude": "48.9", "longitude": "2.35"}


def flat(site: Site) -> tuple[Endpoint, ...]:
    return tuple(address for host in site.hosts for address in host)


def chosen(steering: Steering, client: Client, headers: dict[str, str]) -> tuple[Endpoint, ...]:
    return steering.choose(client, steering.locate(client, headers))


def names(sites: list[Site]) -> list[str]:
    return [site.name for site in sites]


@pytest.mark.parametrize(
    ("where", "best"),
    [
        (Location(48.9, 2.35), ["frankfurt", "virginia", "tokyo"]),
        (Location(-33.9, 151.2), ["tokyo", "virginia", "frankfurt"]),
        (Location(21.3, -157.9), ["tokyo", "virginia", "frankfurt"]),  # over the date line
        (Location(40.7, -74.0), ["virginia", "frankfurt", "tokyo"]),
    ],
)
def test_the_nearest_comes_first(where: Location, best: list[str]) -> None:
    assert names(rank(SITES, Whereabouts(where))) == best


def test_with_a_country_alone_those_that_are_for_it_come_first() -> None:
    assert names(rank(SITES, Whereabouts(country="AT"))) == ["frankfurt", "virginia", "tokyo"]
    assert names(rank(SITES, Whereabouts(country="BR"))) == ["virginia", "tokyo", "frankfurt"]
    assert names(rank(SITES, Whereabouts())) == ["virginia", "tokyo", "frankfurt"]


def test_a_site_without_coordinates_is_near_to_its_countries_and_far_from_others() -> None:
    vienna = Site("vienna", ((Endpoint("203.0.113.4", 3478),),), None, frozenset({"AT"}))
    sites = [*SITES, vienna]
    graz = Whereabouts(Location(47.1, 15.4), "AT")
    assert names(rank(sites, graz))[:2] == ["vienna", "frankfurt"]
    assert names(rank(sites, graz._replace(country="SI")))[-1] == "vienna"


def test_an_answer_names_so_many_sites_with_all_their_addresses() -> None:
    steering = Steering(Sites(SITES), 2, NAMES)
    assert chosen(steering, TRUSTED, PARIS) == (*flat(FRANKFURT), *flat(VIRGINIA))
    assert chosen(Steering(Sites(SITES), 1, NAMES), NOBODY, {}) == flat(VIRGINIA)
    assert chosen(Steering(), TRUSTED, PARIS) == ()
    twice = [VIRGINIA, VIRGINIA._replace(name="again")]
    assert chosen(Steering(Sites(twice), 2), NOBODY, {}) == flat(VIRGINIA)


def test_headers_are_a_trusted_proxys_word_or_nobodys() -> None:
    steering = Steering(Sites(SITES), 1, NAMES)
    assert chosen(steering, TRUSTED._replace(vouched=False), PARIS) == flat(VIRGINIA)
    assert chosen(steering, TRUSTED, {"country": "jp"}) == flat(TOKYO)


def test_what_the_proxy_does_not_say_the_database_does() -> None:
    asked: list[Address] = []

    def atlas(address: Address) -> Whereabouts:
        asked.append(address)
        return Whereabouts(Location(35.0, 135.0), "JP")

    steering = Steering(Sites(SITES), 1, NAMES, atlas)
    assert chosen(steering, TRUSTED, PARIS) == flat(FRANKFURT)
    assert asked == []
    assert chosen(steering, TRUSTED, {"country": "DE"}) == flat(TOKYO)  # coordinates say more
    assert chosen(steering, NOBODY, PARIS) == flat(TOKYO)
    assert asked == [TRUSTED.address, NOBODY.address]


@given(st.dictionaries(st.sampled_from(["country", "latitude", "longitude"]), st.text()))
def test_whatever_is_said_some_are_chosen(said: dict[str, str]) -> None:
    assert len(chosen(Steering(Sites(SITES), 2, NAMES), TRUSTED, said)) >= 2


def steered(*hosts: FleetHost, most: int = 2) -> list[str]:
    """Sites of an answer to a client in Paris."""
    health = SiteHealth()
    health.update(FleetView(tuple(known(site) for site in SITES)))
    health.update(FleetView(hosts))
    steering = Steering(Sites(SITES), most, NAMES, health=health)
    named = chosen(steering, TRUSTED, PARIS)
    return [next(s.name for s in SITES if a in flat(s)) for a in named]


def known(site: Site, state: str = "ready", addresses: int = 9) -> FleetHost:
    """The host whose relay that site is."""
    number = SITES.index(site) + 1
    host = other_host(number, state=state)
    relays = (Endpoint("10.0.0.1", 4000),)
    return msgspec.structs.replace(host, advertise=flat(site)[:addresses], relays=relays)


def test_a_site_whose_hosts_are_all_gone_is_left_out() -> None:
    assert steered(known(VIRGINIA), known(TOKYO)) == ["virginia", "tokyo"]


def test_one_that_drains_comes_last() -> None:
    drains = known(FRANKFURT, "cordoned")
    assert steered(known(VIRGINIA), known(TOKYO), drains) == ["virginia", "tokyo"]
    assert steered(known(VIRGINIA), known(TOKYO), drains, most=3)[:3] == [
        "virginia",
        "tokyo",
        "frankfurt",
    ]


def test_a_dead_address_of_a_site_that_lives_is_not_named() -> None:
    assert steered(known(FRANKFURT, addresses=1), known(TOKYO)) == ["frankfurt", "tokyo"]


def test_if_all_seem_dead_nobody_is_believed() -> None:
    assert steered() == ["frankfurt", "frankfurt", "virginia"]


RELAY = (Endpoint("10.0.0.1", 4000),)
HERE = FleetPlace("frankfurt", (50.1, 8.7))


def announced(number: int, place: FleetPlace = HERE, **more: object) -> FleetHost:
    host = other_host(number, **more)  # type: ignore[arg-type]
    at = (Endpoint(f"203.0.113.{100 + number}", 3478),)
    return msgspec.structs.replace(host, advertise=at, relays=RELAY, place=place)


def test_a_place_of_many_hosts_names_two_of_them_and_others_for_each_client() -> None:
    own = (Endpoint("203.0.113.100", 3478),)
    nowhere = FleetPlace("tokyo", (35.7, 139.7))
    hosts = tuple(announced(number) for number in range(1, 9))
    for place, first in ((HERE, {own[0]}), (nowhere, {host.advertise[0] for host in hosts})):
        steering = Steering(Sites((), place, own, CLUSTER), 1, NAMES, health=SiteHealth(own))
        steering.learn(FleetView(hosts))
        answers = [
            chosen(steering, TRUSTED._replace(address=ip_address(f"192.0.2.{n}")), PARIS)
            for n in range(1, 100)
        ]
        assert {len(answer) for answer in answers} == {2}
        assert {answer[0] for answer in answers} == first
        assert len({answer[1] for answer in answers}) == 8
        assert answers[0] == chosen(steering, TRUSTED, PARIS)


def test_of_a_place_those_that_drain_or_are_gone_make_room_for_the_others() -> None:
    hosts = [announced(1, state="cordoned"), announced(2, fresh=False), announced(3), announced(4)]
    steering = Steering(Sites((), HERE, (), CLUSTER), 1, NAMES, health=SiteHealth())
    steering.learn(FleetView(tuple(hosts)))
    assert set(chosen(steering, TRUSTED, PARIS)) == {hosts[2].advertise[0], hosts[3].advertise[0]}
    steering.learn(FleetView(tuple(hosts[:3])))
    assert chosen(steering, TRUSTED, PARIS) == (*hosts[2].advertise, *hosts[0].advertise)
    steering.learn(FleetView(()))
    assert chosen(steering, TRUSTED, PARIS) == ()
