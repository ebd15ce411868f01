"""Whom to ask when this host cannot take a call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from config.ids import Endpoint
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetView
from tests.support.signaling import CLUSTER, other_host, route
from workers.signaling.elsewhere import DOUBT, Elsewhere, rpc_of
from workers.signaling.whereabouts import NOWHERE, Location, Whereabouts


def elsewhere(*hosts: object) -> Elsewhere:
    made = Elsewhere(CLUSTER)
    made.update(FleetView(tuple(hosts)))  # type: ignore[arg-type]
    return made


def closed(host: FleetHost) -> FleetHost:
    assert host.door is not None
    return msgspec.structs.replace(host, door=msgspec.structs.replace(host.door, open=False))


def test_who_has_most_room_is_asked() -> None:
    a, b = other_host(1, sessions=50), other_host(2, sessions=60, max_sessions=1000)
    assert elsewhere(a, b).choose(0.0) == b


@pytest.mark.parametrize(
    "host",
    [
        other_host(1, state="cordoned"),
        other_host(1, state="draining"),
        other_host(1, state="starting"),
        other_host(1, fresh=False),
        other_host(1, accepting=False),
        other_host(1, door=None),
        closed(other_host(1)),
    ],
)
def test_who_is_not_asked(host: object) -> None:
    known = elsewhere(host)
    assert known.choose(0.0) is None
    assert not known.ready


def test_a_burst_is_spread_over_hosts() -> None:
    known = elsewhere(other_host(1), other_host(2), other_host(3, sessions=1000))
    chosen = Counter(host.host for _ in range(20) if (host := known.choose(0.0)))
    assert chosen == {other_host(1).host: 10, other_host(2).host: 10}


def test_other_clusters_come_after_our_own() -> None:
    near, far = other_host(1, sessions=90), other_host(2, cluster=8)
    known = elsewhere(far, near)
    assert known.choose(0.0) == near
    assert known.choose(0.0, avoid={near.host}) == far
    assert known.choose(0.0, avoid={near.host, far.host}) is None
    assert known.asked(0.0) == (near,)


def test_who_did_not_answer_is_asked_last_for_a_while() -> None:
    near, far = other_host(1), other_host(2, cluster=8)
    known = elsewhere(near, far)
    known.doubt(near.host, 0.0)
    assert known.choose(1.0) == far
    assert known.choose(1.0, avoid={far.host}) == near
    assert known.asked(1.0) == ()
    assert known.asked(DOUBT) == (near,)
    assert known.choose(DOUBT) == near


def test_sessions_are_asked_for_at_the_door_of_their_host_whatever_its_state() -> None:
    host = other_host(1, state="cordoned", fresh=False, accepting=False)
    known = elsewhere(host, other_host(2, door=None))
    owner = known.owner(route(1))
    assert owner is not None
    assert owner.rpc == rpc_of(host) == "tcp://10.0.0.1:3481"
    assert not owner.accepting
    assert known.owner(route(2)) is None
    assert known.owner(route(9)) is None
    known.update(FleetView(()))
    assert known.owner(route(1)) is None


def test_doors_by_their_end_points() -> None:
    six = other_host(3, door=Endpoint("2001:db8::3", 3481))
    assert elsewhere(other_host(1), six, other_host(2, door=None)).doors == {
        "tcp://10.0.0.1:3481": FleetDoor(Endpoint("10.0.0.1", 3481), "k" * 40),
        "tcp://[2001:db8::3]:3481": FleetDoor(Endpoint("2001:db8::3", 3481), "k" * 40),
    }


def test_whose_signaling_is_being_replaced_owns_its_calls_also_for_who_has_just_begun() -> None:
    host = closed(other_host(1))
    known = elsewhere(host)
    owner = known.owner(route(1))
    assert owner is not None
    assert owner.rpc == rpc_of(host)
    assert list(known.doors) == [owner.rpc]
    assert known.choose(0.0) is None
    assert known.asked(0.0) == ()
    known.update(FleetView(()))
    assert known.owner(route(1)) is None
    assert not known.doors


FRANKFURT, VIRGINIA, TOKYO = (
    FleetPlace("", location) for location in ((50.1, 8.7), (39.0, -77.5), (35.7, 139.7))
)
PARIS = Whereabouts(Location(48.9, 2.35))


def at(place: FleetPlace, number: int, **more: Any) -> FleetHost:
    return msgspec.structs.replace(other_host(number, **more), place=place)


def nearest(here: FleetPlace | None, *hosts: FleetHost) -> Elsewhere:
    made = Elsewhere(CLUSTER, here)
    made.update(FleetView(hosts))
    return made


def test_the_nearest_to_a_client_is_asked_if_it_is_nearer_than_we() -> None:
    frankfurt, tokyo = at(FRANKFURT, 1, cluster=8, sessions=90), at(TOKYO, 2)
    known = nearest(VIRGINIA, frankfurt, tokyo)
    assert known.choose(0.0, nearer_to=PARIS) == frankfurt
    assert known.choose(0.0, nearer_to=PARIS, avoid={frankfurt.host}) is None
    assert known.choose(0.0, nearer_to=Whereabouts(Location(35.0, 135.0))) == tokyo
    assert known.choose(0.0, nearer_to=Whereabouts(Location(40.7, -74.0))) is None  # we are
    assert nearest(FRANKFURT, frankfurt, tokyo).choose(0.0, nearer_to=PARIS) is None


def test_of_those_that_are_as_near_one_of_our_cluster_with_most_room() -> None:
    amsterdam = FleetPlace("", (52.4, 4.9))
    hosts = [at(FRANKFURT, 1, sessions=50), at(amsterdam, 2), at(FRANKFURT, 3)]
    hosts.append(at(FRANKFURT, 4, cluster=8))
    known = nearest(VIRGINIA, *hosts)
    chosen = Counter(h.host for _ in range(20) if (h := known.choose(0.0, nearer_to=PARIS)))
    assert chosen == {hosts[1].host: 10, hosts[2].host: 10}


def test_with_a_country_alone_hosts_for_it_are_nearer() -> None:
    german = at(FleetPlace("", (), ("DE",)), 1)
    known = nearest(FleetPlace("", (), ("US",)), german)
    assert known.choose(0.0, nearer_to=Whereabouts(country="DE")) == german
    assert known.choose(0.0, nearer_to=Whereabouts(country="FR")) is None


def test_nobody_is_nearer_to_a_client_who_may_be_anywhere() -> None:
    assert nearest(VIRGINIA, at(FRANKFURT, 1)).choose(0.0, nearer_to=NOWHERE) is None


def test_who_does_not_place_by_distance_has_nobody_nearer() -> None:
    assert nearest(None, at(FRANKFURT, 1)).choose(0.0, nearer_to=PARIS) is None


def test_a_nearer_host_that_did_not_answer_or_drains_is_not_waited_for() -> None:
    frankfurt = at(FRANKFURT, 1)
    known = nearest(VIRGINIA, frankfurt)
    known.doubt(frankfurt.host, 0.0)
    assert known.choose(1.0, nearer_to=PARIS) is None
    assert known.choose(DOUBT, nearer_to=PARIS) == frankfurt
    assert (
        nearest(VIRGINIA, at(FRANKFURT, 1, state="cordoned")).choose(0.0, nearer_to=PARIS) is None
    )


def test_who_places_by_distance_asks_all_clusters_how_many_calls_a_key_has() -> None:
    far = at(FRANKFURT, 1, cluster=8)
    assert nearest(VIRGINIA, far).asked(0.0) == (far,)
    assert nearest(None, far).asked(0.0) == ()
