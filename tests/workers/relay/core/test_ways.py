"""Where a route leads, and what the next hop is told."""

from __future__ import annotations

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.clusters import LINGER
from workers.relay.core.interface import (
    InstallFlow,
    KnownFlow,
    OthersHeard,
    SendBack,
    SendDatagram,
    SendRecord,
    Upcall,
)
from workers.relay.core.ways import (
    Neighbours,
    Way,
    Ways,
    client_of,
    forget_too,
    introduce,
    point,
    to_client,
)
from workers.wire.link import RecordType, encode_intro, encode_routed
from workers.wire.types import DropReason

OWN, OTHER = ClusterId(1), ClusterId(2)
RELAYS = (Endpoint("10.2.0.1", 3479), Endpoint("10.2.0.2", 3479))
LINK = Endpoint("127.0.0.1", 7001)
HERE = Endpoint("198.51.100.1", 3478)
KEY = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5000), HERE)
GLOBAL = FlowKey(Transport.UDP, Endpoint("10.9.0.1", 7000), Endpoint("10.1.0.1", 3479), 0x105)


def route(cluster: ClusterId, transceiver: int = 1) -> Route:
    return Route(cluster, TransceiverId(transceiver), Epoch(1))


def ways() -> Ways:
    made = Ways(Neighbours({OTHER: RELAYS}, frozenset({"10.9.0.1"}), OWN), 0.0)
    made.routes.add(route(OWN), LINK)
    return made


def test_a_transceiver_of_ours_is_reached_directly_and_others_by_a_relay() -> None:
    assert ways().find(Upcall(KEY, b"x", None), route(OWN)) == Way(LINK)
    found = ways().find(Upcall(KEY, b"x", None), route(OTHER))
    assert found is not None
    assert found.routed
    assert found.link in RELAYS
    assert ways().find(Upcall(KEY, b"x", None), route(ClusterId(3))) is None
    assert ways().find(Upcall(KEY, b"x", None), route(OWN, 2)) is None
    assert ways().why_not(route(OWN, 2)) is DropReason.UNKNOWN_ROUTE


def test_a_flow_stays_where_it_leads() -> None:
    for relay in RELAYS:
        known = KnownFlow(7, route(OTHER), relay)
        assert ways().find(Upcall(KEY, b"x", known), route(OTHER)) == Way(relay, routed=True)
    elsewhere = KnownFlow(7, route(ClusterId(9)), RELAYS[0])
    chosen = ways().find(Upcall(KEY, b"x", None), route(OTHER))
    assert ways().find(Upcall(KEY, b"x", elsewhere), route(OTHER)) == chosen


def test_what_comes_from_a_global_relay_goes_to_a_transceiver_of_our_cluster_or_nowhere() -> None:
    of = ways()
    of.routes.add(route(ClusterId(3)), LINK)
    event = Upcall(GLOBAL, b"x", None, None, KEY)
    assert of.find(event, route(OWN)) == Way(LINK)
    for cluster in (OTHER, ClusterId(3)):
        assert of.find(event, route(cluster)) is None


def test_only_named_hosts_are_global_relays() -> None:
    assert ways().trusts(GLOBAL, 1.0)
    assert not ways().trusts(GLOBAL._replace(client=Endpoint("10.9.0.2", 7000)), 1.0)


def test_what_hosts_say_of_themselves_counts_beside_what_the_operator_has_named() -> None:
    of, third = ways(), ClusterId(3)
    told = {OTHER: (LINK,), third: RELAYS[:1], OWN: RELAYS}
    assert of.hear(OthersHeard(told, frozenset({"10.9.0.2"})), 1.0) == []
    for host in ("10.9.0.1", "10.9.0.2"):
        assert of.trusts(GLOBAL._replace(client=Endpoint(host, 7000)), 1.0)
    event = Upcall(KEY, b"x", None)
    assert of.find(event, route(third)) == Way(RELAYS[0], routed=True)
    named = of.find(event, route(OTHER))
    assert named is not None
    assert named.link in RELAYS  # a cluster that the operator has named is as he has named it
    assert of.find(event, route(OWN, 2)) is None


def test_a_global_relay_of_which_nobody_tells_any_more_is_trusted_while_it_shows_that_it_lives() -> (
    None
):
    of = Ways(Neighbours(own=OWN), 0.0)
    assert not of.trusts(GLOBAL, 0.0)
    of.hear(OthersHeard({}, frozenset({GLOBAL.client.host})), 1.0)
    assert of.trusts(GLOBAL, 2.0)
    of.hear(OthersHeard({}), 3.0)
    assert of.trusts(GLOBAL, 2.0 + LINGER)
    assert of.trusts(GLOBAL, 2.0 + 2 * LINGER)
    assert not of.trusts(GLOBAL, 2.1 + 3 * LINGER)
    assert not of.trusts(GLOBAL, 2.2 + 3 * LINGER)
    silent = Ways(Neighbours(own=OWN), 0.0)
    silent.hear(OthersHeard({}, frozenset({GLOBAL.client.host})), 1.0)
    silent.hear(OthersHeard({}), 3.0)
    assert not silent.trusts(GLOBAL, 3.0)  # it has never been heard


def test_the_next_hop_is_told_of_the_client() -> None:
    direct, behind = Upcall(KEY, b"x", None), Upcall(GLOBAL, b"x", None, None, KEY)
    for event in (direct, behind):
        assert client_of(event) == KEY.client
        told = introduce(event, route(OWN), Way(LINK), 7)
        assert told == SendRecord(LINK, RecordType.INTRO, 0, 7, encode_intro(KEY, b"x"))
    told = introduce(direct, route(OTHER), Way(RELAYS[0], routed=True), 7)
    payload = encode_routed(route(OTHER), KEY, b"x")
    assert told == SendRecord(RELAYS[0], RecordType.ROUTED, 0, 7, payload)


def test_a_flow_is_pointed_elsewhere_only_if_it_leads_elsewhere() -> None:
    event = Upcall(KEY, b"x", None)
    known = KnownFlow(7, route(OTHER), RELAYS[0])
    assert point(event, known, Way(RELAYS[0])) == []
    assert point(event, KnownFlow(7, route(OTHER)), Way(RELAYS[0])) == []
    assert point(event, known, Way(RELAYS[1])) == [InstallFlow(KEY, 7, route(OTHER), RELAYS[1])]


def test_the_way_back() -> None:
    assert to_client(KEY, 3, b"x") == SendDatagram(KEY, b"x")
    assert to_client(GLOBAL, 3, b"x") == SendBack(GLOBAL, RecordType.DATA, 3, b"x")
    assert forget_too(KEY) == forget_too(None) == []
    assert forget_too(GLOBAL) == [SendBack(GLOBAL, RecordType.FORGET, 0, b"")]
