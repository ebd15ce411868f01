"""What operators are told of steering."""

from __future__ import annotations

import math

import msgspec
import pytest

from config.ids import Endpoint
from ipc.messages.admin import Failure, StatusRequest
from ipc.messages.fleet import FleetHost, FleetPlace, FleetView
from ipc.messages.places import PlacesRequest, RankedHost, RankedPlaces
from tests.support.signaling import CLUSTER, other_host
from workers.signaling.client_address import NOBODY
from workers.signaling.site_health import SiteHealth
from workers.signaling.sites import Site, Sites
from workers.signaling.steering import Steering
from workers.signaling.survey import Desk, survey
from workers.signaling.whereabouts import Location, Whereabouts

VIRGINIA = Site("virginia", ((Endpoint("203.0.113.2", 3478),),), Location(39.0, -77.5))
OWN = (Endpoint("203.0.113.1", 3478),)
PARIS = (48.9, 2.35)


def announced(number: int, site: str, at: tuple[float, float], state: str = "ready") -> FleetHost:
    return msgspec.structs.replace(
        other_host(number, state=state),
        advertise=(Endpoint(f"203.0.113.{100 + number}", 3478),),
        relays=(Endpoint("10.0.0.1", 4000),),
        place=FleetPlace(site, at, ("JP",) if site == "tokyo" else ()),
    )


def steering(*hosts: FleetHost, most: int = 2) -> Steering:
    place = FleetPlace("frankfurt", (50.1, 8.7))
    made = Steering(Sites([VIRGINIA], place, OWN, CLUSTER), most, health=SiteHealth(OWN))
    made.learn(FleetView(hosts))
    return made


TOKYO, DRAINS = (
    announced(1, "tokyo", (35.7, 139.7)),
    announced(2, "oslo", (59.9, 10.7), state="draining"),
)


def test_every_place_is_there_as_answers_see_it() -> None:
    found = survey(steering(TOKYO, DRAINS), PlacesRequest(PARIS)).places
    assert [(place.site, place.rank, place.listed) for place in found] == [
        ("frankfurt", 1, False),
        ("oslo", 0, False),
        ("virginia", 2, True),
        ("tokyo", 0, False),
    ]
    frankfurt, oslo, virginia, tokyo = found
    assert frankfurt.hosts == (RankedHost(OWN, "well"),)
    assert oslo.hosts == (RankedHost(DRAINS.advertise, "leaving"),)
    assert virginia.hosts == (RankedHost(VIRGINIA.hosts[0], "well"),)
    assert (tokyo.location, tokyo.countries) == ((35.7, 139.7), ("JP",))
    assert frankfurt.km == pytest.approx(478, abs=5)
    assert tokyo.km == pytest.approx(9700, abs=50)


def test_the_ranks_are_those_of_an_answer() -> None:
    made = steering(TOKYO, DRAINS, most=3)
    where = Whereabouts(country="JP")
    found = survey(made, PlacesRequest(country="JP")).places
    named = sorted((place for place in found if place.rank), key=lambda place: place.rank)
    assert [place.site for place in named] == ["tokyo", "virginia", "frankfurt"]
    answer = made.choose(NOBODY, where)
    assert answer == tuple(a for place in named for host in place.hosts for a in host.addresses)
    assert {place.km for place in found} == {None}


def test_who_is_gone_is_dead_and_named_by_nobody() -> None:
    made = steering(TOKYO)
    silent = msgspec.structs.replace(TOKYO, fresh=False)
    made.learn(FleetView((silent,)))
    tokyo = next(p for p in survey(made, PlacesRequest()).places if p.site == "tokyo")
    assert (tokyo.rank, tokyo.hosts[0].health) == (0, "dead")


async def test_only_that_is_answered_and_only_for_places_that_can_be() -> None:
    desk = Desk(steering())
    assert isinstance(await desk.answer(PlacesRequest(PARIS)), RankedPlaces)
    assert isinstance(await desk.answer(StatusRequest()), Failure)


@pytest.mark.parametrize("location", [(91.0, 0.0), (0.0, 181.0), (1.0,), (math.nan, 0.0)])
async def test_a_location_that_is_nowhere_is_refused(location: tuple[float, ...]) -> None:
    assert isinstance(await Desk(steering()).answer(PlacesRequest(location)), Failure)
