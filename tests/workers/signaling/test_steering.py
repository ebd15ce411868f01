"""Which sites are best for whom."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost, FleetView
from tests.support.signaling import other_host
from workers.signaling.client_address import NOBODY, Client
from workers.signaling.quotas import Address
from workers.signaling.site_health import SiteHealth
from workers.signaling.steering import (
    Headers,
    Location,
    Site,
    Steering,
    Whereabouts,
    distance,
    rank,
)

FRANKFURT = Site(
    "frankfurt",
    (Endpoint("203.0.113.1", 3478), Endpoint("2001:db8:1::1", 3478)),
    Location(50.1, 8.7),
    frozenset({"DE", "AT"}),
)
VIRGINIA = Site("virginia", (Endpoint("203.0.113.2", 3478),), Location(39.0, -77.5))
TOKYO = Site("tokyo", (Endpoint("203.0.113.3", 3478),), Location(35.7, 139.7), frozenset({"JP"}))
SITES = (VIRGINIA, TOKYO, FRANKFURT)
NAMES = Headers("country", "latitude", "longitude")
TRUSTED = Client(ip_address("192.0.2.1"), forwarded=True, vouched=True)
PARIS = {"latitude": "48.9", "longitude": "2.35"}


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
    vienna = Site("vienna", (Endpoint("203.0.113.4", 3478),), None, frozenset({"AT"}))
    sites = [*SITES, vienna]
    graz = Whereabouts(Location(47.1, 15.4), "AT")
    assert names(rank(sites, graz))[:2] == ["vienna", "frankfurt"]
    assert names(rank(sites, graz._replace(country="SI")))[-1] == "vienna"


def test_known_distances() -> None:
    paris, london = Location(48.8566, 2.3522), Location(51.5074, -0.1278)
    assert distance(paris, london) == pytest.approx(344, abs=2)
    assert distance(Location(0, 179.5), Location(0, -179.5)) == pytest.approx(111.2, abs=0.1)
    assert distance(Location(90, 0), Location(-90, 0)) == pytest.approx(20_015, abs=1)
    assert distance(paris, paris) == 0


def test_an_answer_names_so_many_sites_with_all_their_addresses() -> None:
    steering = Steering(SITES, 2, NAMES)
    assert steering.choose(TRUSTED, PARIS) == (*FRANKFURT.addresses, *VIRGINIA.addresses)
    assert Steering(SITES, 1, NAMES).choose(NOBODY, {}) == VIRGINIA.addresses
    assert Steering().choose(TRUSTED, PARIS) == ()
    twice = [VIRGINIA, VIRGINIA._replace(name="again")]
    assert Steering(twice, 2).choose(NOBODY, {}) == VIRGINIA.addresses


def test_headers_are_a_trusted_proxys_word_or_nobodys() -> None:
    steering = Steering(SITES, 1, NAMES)
    assert steering.choose(TRUSTED._replace(vouched=False), PARIS) == VIRGINIA.addresses
    assert steering.choose(TRUSTED, {"country": "jp"}) == TOKYO.addresses


def test_what_the_proxy_does_not_say_the_database_does() -> None:
    asked: list[Address] = []

    def atlas(address: Address) -> Whereabouts:
        asked.append(address)
        return Whereabouts(Location(35.0, 135.0), "JP")

    steering = Steering(SITES, 1, NAMES, atlas)
    assert steering.choose(TRUSTED, PARIS) == FRANKFURT.addresses
    assert asked == []
    assert steering.choose(TRUSTED, {"country": "DE"}) == TOKYO.addresses  # coordinates say more
    assert steering.choose(NOBODY, PARIS) == TOKYO.addresses
    assert asked == [TRUSTED.address, NOBODY.address]


@pytest.mark.parametrize(
    "said",
    [
        {"latitude": "48.9"},
        {"latitude": "nan", "longitude": "2"},
        {"latitude": "1e999", "longitude": "2"},
        {"latitude": "91", "longitude": "2"},
        {"latitude": "1", "longitude": "-181"},
        {"latitude": "1" * 500, "longitude": "2"},
        {"country": "XYZ"},
        {"country": "T1"},
        {"country": "ß"},
    ],
)
def test_what_makes_no_sense_was_not_said(said: dict[str, str]) -> None:
    assert NAMES.read(said) == Whereabouts()


@given(st.dictionaries(st.sampled_from(["country", "latitude", "longitude"]), st.text()))
def test_whatever_is_said_some_are_chosen(said: dict[str, str]) -> None:
    assert len(Steering(SITES, 2, NAMES).choose(TRUSTED, said)) >= 2


def steered(*hosts: FleetHost, most: int = 2) -> list[str]:
    """Sites of an answer to a client in Paris."""
    health = SiteHealth()
    health.update(FleetView(tuple(known(site) for site in SITES)))
    health.update(FleetView(hosts))
    chosen = Steering(SITES, most, NAMES, health=health).choose(TRUSTED, PARIS)
    return [next(s.name for s in SITES if a in s.addresses) for a in chosen]


def known(site: Site, state: str = "ready", addresses: int = 9) -> FleetHost:
    """The host whose relay that site is."""
    number = SITES.index(site) + 1
    host = other_host(number, state=state)
    relays = (Endpoint("10.0.0.1", 4000),)
    return msgspec.structs.replace(host, advertise=site.addresses[:addresses], relays=relays)


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
