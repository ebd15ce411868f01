"""Whom to ask when this host cannot take a call."""

from __future__ import annotations

from collections import Counter

import pytest

from config.ids import Endpoint
from ipc.messages.fleet import FleetView
from tests.support.signaling import CLUSTER, other_host, route
from workers.signaling.elsewhere import DOUBT, Elsewhere, rpc_of


def elsewhere(*hosts: object) -> Elsewhere:
    made = Elsewhere(CLUSTER)
    made.update(FleetView(tuple(hosts)))  # type: ignore[arg-type]
    return made


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


def test_doors_and_their_keys() -> None:
    six = other_host(3, door=Endpoint("2001:db8::3", 3481))
    assert elsewhere(other_host(1), six, other_host(2, door=None)).doors == {
        "tcp://10.0.0.1:3481": "k" * 40,
        "tcp://[2001:db8::3]:3481": "k" * 40,
    }


def test_whose_signaling_is_being_replaced_still_owns_its_calls() -> None:
    known = elsewhere(other_host(1))
    owner, doors = known.owner(route(1)), known.doors
    assert owner is not None
    known.update(FleetView((other_host(1, door=None),)))
    assert known.owner(route(1)) == owner
    assert known.doors == doors
    assert known.choose(0.0) is None
    known.update(FleetView(()))
    assert known.owner(route(1)) is None
    assert not known.doors
