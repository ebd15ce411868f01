"""Rows of `tandem places`."""

from __future__ import annotations

import msgspec

from appliance.supervisor.core.places import list_places
from config.ids import ClusterId, Endpoint, HostId
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace
from ipc.messages.places import RankedHost, RankedPlace

LINK = Endpoint("10.0.0.1", 4000)


def at(number: int) -> tuple[Endpoint, ...]:
    return (Endpoint(f"203.0.113.{number}", 3478),)


def host(number: int, site: str, **more: object) -> FleetHost:
    place = FleetPlace(site, (50.1, 8.7), ("DE",)) if site else FleetPlace()
    plain = FleetHost(
        HostId(f"{number:016x}"),
        ClusterId(7),
        "ready",
        advertise=at(number),
        relays=(LINK,),
        place=place,
    )
    return msgspec.structs.replace(plain, **more)


def ranked(site: str, rank: int, *numbers: int, health: str = "well") -> RankedPlace:
    hosts = tuple(RankedHost(at(number), health) for number in numbers)
    return RankedPlace(site, False, (50.1, 8.7), ("DE",), hosts, rank, 448.0)


def test_hosts_are_as_they_say_and_as_answers_see_them() -> None:
    door = FleetDoor(Endpoint("10.0.0.2", 3481), "k" * 40)
    own, other = host(1, "frankfurt"), host(2, "frankfurt", silence=0.4, sessions=3, door=door)
    alone = host(3, "")
    found = list_places((own, other, alone), [ranked("frankfurt", 1, 1, 2)])
    assert found.ranked
    assert [(row.host, row.own, row.rank, row.health) for row in found.rows] == [
        (own.host, True, 1, "well"),
        (other.host, False, 1, "well"),
        (alone.host, False, 0, ""),
    ]
    row = found.rows[1]
    assert (row.cluster, row.state, row.silence, row.sessions, row.km) == (
        7,
        "ready",
        0.4,
        3,
        448.0,
    )
    assert (row.relays, row.addresses, row.takes_calls) == (1, at(2), True)
    assert (row.location, row.countries) == ((50.1, 8.7), ("DE",))


def test_what_an_answer_names_comes_first() -> None:
    places = [ranked("tokyo", 1, 2), ranked("paris", 2, 3), ranked("berlin", 0, 1, health="dead")]
    hosts = host(1, "berlin"), host(2, "tokyo"), host(3, "paris")
    rows = list_places(hosts, places).rows
    assert [(row.site, row.rank, row.health) for row in rows] == [
        ("tokyo", 1, "well"),
        ("paris", 2, "well"),
        ("berlin", 0, "dead"),
    ]


def test_a_place_of_the_file_has_a_row_of_its_own_and_is_not_what_hosts_say() -> None:
    listed = RankedPlace("oslo", True, (), (), (RankedHost((*at(8), *at(9)), "well"),), 1)
    oslo, listed_row = list_places((host(8, "oslo"),), [listed]).rows[::-1]
    assert (listed_row.listed, listed_row.host, listed_row.rank) == (True, "", 1)
    assert listed_row.addresses == (*at(8), *at(9))
    assert (oslo.listed, oslo.rank, oslo.health) == (False, 0, "")


def test_without_signaling_it_is_said_that_nothing_is_known_of_answers() -> None:
    found = list_places((host(1, "frankfurt"),), None)
    assert not found.ranked
    assert found.rows[0].rank == 0
    assert list_places((), []).ranked
