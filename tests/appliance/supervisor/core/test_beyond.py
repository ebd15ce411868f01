"""What other clusters have for relays of this host."""

from __future__ import annotations

from typing import Any

from appliance.supervisor.core.beyond import MOST_CLUSTERS, MOST_INGRESS, Beyond, look_beyond
from config.ids import ClusterId, Endpoint, HostId
from config.model import Config
from ipc.messages.fleet import FleetHost, FleetPlace
from ipc.messages.routes import ClusterRelays

OWN, OTHER = ClusterId(7), ClusterId(8)


def ingress(number: int) -> Endpoint:
    return Endpoint(f"10.{number // 250}.0.{number % 250 + 1}", 3479)


def host(number: int, cluster: int = OTHER, **more: Any) -> FleetHost:
    link = Endpoint(f"10.9.0.{number % 250 + 1}", 4000 + number)
    fields = {"ingress": ingress(number), "relays": (link,)} | more
    return FleetHost(HostId(f"{number:016x}"), ClusterId(cluster), "ready", **fields)


def test_where_other_clusters_take_clients_in_one_order() -> None:
    hosts = [host(3), host(1), host(2, OWN), host(4, 9), host(5, ingress=None)]
    seen = look_beyond(hosts, OWN)
    assert seen == look_beyond(reversed(hosts), OWN)
    assert seen.clusters == (
        ClusterRelays(OTHER, (ingress(1), ingress(3))),
        ClusterRelays(ClusterId(9), (ingress(4),)),
    )
    assert seen.global_relays == ()


def test_hosts_that_have_a_place_bring_clients_of_theirs() -> None:
    here = FleetPlace("frankfurt")
    links = (Endpoint("10.9.0.1", 4000), Endpoint("10.9.0.1", 4001), Endpoint("10.9.0.2", 4000))
    seen = look_beyond([host(1, place=here, relays=links), host(2, OWN, place=here)], OWN)
    assert seen.global_relays == ("10.9.0.1", "10.9.0.2")


def test_a_host_uses_what_it_says_that_it_does() -> None:
    seen = look_beyond([host(1, place=FleetPlace("a"))], OWN)
    assert seen.for_host(Config()) == Beyond()
    site = Config.model_validate({"fleet": {"site": "b"}})
    assert seen.for_host(site) == Beyond(seen.clusters, ())
    taking = Config.model_validate({"cluster": {"ingress": "10.0.0.1:3479"}})
    assert seen.for_host(taking) == Beyond((), seen.global_relays)


def test_there_are_bounds() -> None:
    many = look_beyond([host(n) for n in range(MOST_INGRESS + 9)], OWN)
    assert len(many.clusters[0].relays) == MOST_INGRESS
    clusters = look_beyond([host(n, 100 + n) for n in range(MOST_CLUSTERS + 9)], OWN)
    assert len(clusters.clusters) == MOST_CLUSTERS
