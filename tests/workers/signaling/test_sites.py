"""Which places there are."""

from __future__ import annotations

import msgspec

from config.ids import ClusterId, Endpoint
from ipc.messages.fleet import FleetHost, FleetPlace, FleetView
from tests.support.signaling import CLUSTER, other_host
from workers.signaling.sites import MOST, Site, Sites
from workers.signaling.whereabouts import Location

LINKS = (Endpoint("10.0.0.1", 4000),)
OURS = (Endpoint("203.0.113.100", 3478),)
FRANKFURT = FleetPlace("frankfurt", (50.1, 8.7), ("DE",))


def at(number: int) -> tuple[Endpoint, ...]:
    return (Endpoint(f"203.0.113.{number}", 3478),)


def host(number: int, place: FleetPlace = FRANKFURT, cluster: int = CLUSTER) -> FleetHost:
    made = other_host(number, cluster=cluster)
    return msgspec.structs.replace(made, advertise=at(number), relays=LINKS, place=place)


def known(*hosts: FleetHost, listed: tuple[Site, ...] = (), site: str = "here") -> Sites:
    made = Sites(listed, FleetPlace(site), OURS if site else (), CLUSTER)
    made.update(FleetView(hosts))
    return made


def names(sites: Sites) -> list[str]:
    return [site.name for site in sites.all]


def test_hosts_that_say_the_same_name_are_one_place() -> None:
    more = FleetPlace("frankfurt", (1.0, 1.0), ("AT",))
    there, here = known(host(1), host(2, more)).all
    assert here == Site("here", (OURS,))
    assert there == Site("frankfurt", (at(1), at(2)), Location(50.1, 8.7), frozenset({"DE", "AT"}))


def test_our_own_host_is_one_of_its_place() -> None:
    (site,) = known(host(1), site="frankfurt").all
    assert site.hosts == (OURS, at(1))
    assert site.location == Location(50.1, 8.7)


def test_what_the_operator_lists_is_the_whole_truth_about_its_name_and_comes_first() -> None:
    listed = Site("frankfurt", (at(9),), Location(0.0, 0.0))
    sites = known(host(1), host(2, FleetPlace("amsterdam")), listed=(listed,))
    assert names(sites) == ["frankfurt", "amsterdam", "here"]
    assert sites.all[0] == listed


def test_who_has_neither_a_place_nor_a_list_heeds_nobody() -> None:
    assert names(known(host(1), site="")) == []
    listed = Site("a", (at(9),))
    assert names(known(host(1), listed=(listed,), site="")) == ["a", "frankfurt"]


def test_a_host_of_another_cluster_counts_if_it_knows_the_way_to_ours() -> None:
    far = host(1, cluster=8)
    assert names(known(far)) == ["here"]
    way = msgspec.structs.replace(far, forwards=(ClusterId(3), CLUSTER))
    assert names(known(way)) == ["frankfurt", "here"]


def test_who_has_no_relays_or_no_addresses_or_no_place_is_none() -> None:
    bare = [
        msgspec.structs.replace(host(1), relays=()),
        msgspec.structs.replace(host(1), advertise=()),
        host(1, FleetPlace("", (50.1, 8.7))),
    ]
    assert names(known(*bare)) == ["here"]


def test_who_is_gone_is_no_place_any_more() -> None:
    sites = known(host(1))
    sites.update(FleetView(()))
    assert names(sites) == ["here"]


def test_there_is_a_bound() -> None:
    many = [host(n % 200 + 1, FleetPlace(f"{n:04}")) for n in range(MOST + 9)]
    listed = Site("z", (at(9),))
    assert len(known(*many, listed=(listed,)).all) == MOST + 1
