"""What no single value can tell of a host among others: whom it reaches, who reaches it, what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from config.findings import Finding
from config.listeners import is_this_host, is_wildcard
from config.model import Config
from config.problems import KeyPath, show_value

LARGEST_FRAME: Final = 9000
"""Bytes of a link datagram between hosts: what some networks carry in one piece."""
_NO_RELAYS: Final[tuple[KeyPath, ...]] = (("relay", "workers"),)
_NO_TRANSCEIVERS: Final[tuple[KeyPath, ...]] = (("transceiver", "workers"),)


def find_host_contradictions(config: Config) -> Iterator[Finding]:
    """Everything of that kind."""
    for check in _CHECKS:
        yield from check(config)


def _one_kind_alone(config: Config) -> Iterator[Finding]:
    """A host without relays, or without transceivers, works with those of others."""
    if not (config.has_relays or config.has_transceivers):
        what = "is 0 as transceiver.workers is: nothing would run here"
        yield Finding(("relay", "workers"), what, _NO_TRANSCEIVERS)
    elif not config.has_relays:
        yield from _without_relays(config)
    elif not config.has_transceivers:
        yield from _without_transceivers(config)


def _without_relays(config: Config) -> Iterator[Finding]:
    if not config.in_fleet:
        what = "is 0, so relays of other hosts must find this one: that needs fleet.listen or redis.url"
        yield Finding(("relay", "workers"), what, (("fleet", "listen"), ("redis", "url")))
    if not config.relay.advertise:
        what = "must say where clients come in: there are no relays here (relay.workers = 0)"
        yield Finding(("relay", "advertise"), what, _NO_RELAYS)
    if config.cluster.others:
        yield Finding(("cluster", "others"), "needs relays, and relay.workers is 0", _NO_RELAYS)
    if config.cluster.ingress is not None:
        yield Finding(("cluster", "ingress"), "needs relays, and relay.workers is 0", _NO_RELAYS)
    if config.relay.listen_tcp:
        what = "there are no relays here to listen (relay.workers = 0); answers say relay.advertise_tcp"
        yield Finding(("relay", "listen_tcp"), what, _NO_RELAYS)


def _without_transceivers(config: Config) -> Iterator[Finding]:
    if not (config.in_fleet or config.cluster.others):
        what = (
            "is 0, so relays must find transceivers of other hosts: that needs fleet.listen, redis.url, or"
            " cluster.others for a Global Relay"
        )
        also: tuple[KeyPath, ...] = (("fleet", "listen"), ("redis", "url"), ("cluster", "others"))
        yield Finding(("transceiver", "workers"), what, also)
    if config.realtime.url:
        what = "needs transceivers, and transceiver.workers is 0"
        yield Finding(("realtime", "url"), what, _NO_TRANSCEIVERS)


def _clusters(config: Config) -> Iterator[Finding]:
    cluster, link = config.cluster, config.link
    elsewhere = False
    for number, relays in cluster.others.items():
        path: KeyPath = ("cluster", "others", str(number))
        if number == cluster.id:
            yield Finding(path, f"{number} is this host's own cluster", (("cluster", "id"),))
        for index, relay in enumerate(relays):
            here = (*path, index)
            if not relay.port:
                yield Finding(here, "port 0 is not in 1-65535")
            if is_wildcard(relay.host) or ip_address(relay.host).is_multicast:
                yield Finding(here, f"{relay.host} is no address of a relay")
            elif relay in relays[:index]:
                yield Finding(here, f"{relay} is there twice")
            elif not ip_address(relay.host).is_loopback:
                elsewhere = True
    if elsewhere and is_this_host(link.address):
        yield Finding(
            ("link", "address"),
            f"{link.address} cannot be reached by the relays of cluster.others",
            (("cluster", "others"),),
        )
    if elsewhere and link.mtu > LARGEST_FRAME:
        yield Finding(
            ("link", "mtu"),
            f"must not exceed {LARGEST_FRAME} with cluster.others on other hosts (1372 inside WireGuard), "
            f"got {link.mtu}",
            (("cluster", "others"),),
        )


def _ingress(config: Config) -> Iterator[Finding]:
    cluster = config.cluster
    path: KeyPath = ("cluster", "ingress")
    also: tuple[KeyPath, ...] = (("cluster", "global_relays"),)
    if (ingress := cluster.ingress) is not None:
        if not ingress.port:
            yield Finding(path, "port 0 is not in 1-65535")
        if is_wildcard(ingress.host):
            yield Finding(path, f"{ingress.host} is a wildcard; name the exact address")
        if not (cluster.global_relays or config.fleet.everywhere or config.fleet.peers):
            what = "needs cluster.global_relays, or fleet.everywhere: who may send clients there"
            yield Finding(path, what, (*also, ("fleet", "everywhere")))
        for listen in config.relay.listen:
            same = listen.host == ingress.host or is_wildcard(listen.host)
            if same and listen.port == ingress.port and listen.is_ipv6 == ingress.is_ipv6:
                what = f"{ingress} is already taken by relay.listen"
                yield Finding(path, what, (("relay", "listen"),))
        if config.link.mtu > LARGEST_FRAME and not ip_address(ingress.host).is_loopback:
            yield Finding(
                ("link", "mtu"),
                f"must not exceed {LARGEST_FRAME} with cluster.ingress (1372 inside WireGuard), "
                f"got {config.link.mtu}",
                (path,),
            )
    for index, host in enumerate(cluster.global_relays):
        try:
            if str(ip_address(host)) != host:
                yield Finding(("cluster", "global_relays", index), f"write it {ip_address(host)}")
        except ValueError:
            what = f"{show_value(host)} is not an IP address"
            yield Finding(("cluster", "global_relays", index), what)


def _fleet(config: Config) -> Iterator[Finding]:
    fleet = config.fleet
    for name, endpoints in (("listen", fleet.listen), ("peers", fleet.peers)):
        for index, endpoint in enumerate(endpoints):
            path: KeyPath = ("fleet", name, index)
            address = ip_address(endpoint.host)
            if not endpoint.port:
                yield Finding(path, "port 0 is not in 1-65535")
            if address.is_unspecified or address.is_multicast:
                yield Finding(path, f"{endpoint.host} is not the exact address of a host")
            elif endpoint in endpoints[:index]:
                yield Finding(path, f"{endpoint} is there twice")
    if fleet.peers and not fleet.listen:
        yield Finding(
            ("fleet", "listen"),
            "must say where the peers announce themselves",
            (("fleet", "peers"),),
        )
    for index, peer in enumerate(fleet.peers):
        if fleet.listen and all(peer.is_ipv6 != own.is_ipv6 for own in fleet.listen):
            yield Finding(
                ("fleet", "peers", index),
                f"{peer} cannot be reached from any address of fleet.listen",
                (("fleet", "listen"),),
            )
    if fleet.everywhere and not config.redis.url:
        yield Finding(("fleet", "everywhere"), "needs redis.url", (("redis", "url"),))


def _calls_of_others(config: Config) -> Iterator[Finding]:
    calls, path = config.fleet.calls, ("fleet", "calls")
    if calls is None:
        return
    address = ip_address(calls.host)
    if not calls.port:
        yield Finding(path, "port 0 is not in 1-65535")
    if address.is_unspecified or address.is_multicast:
        yield Finding(path, f"{calls.host} is not the exact address of a host")
    if not config.in_fleet:
        also: tuple[KeyPath, ...] = (("fleet", "listen"), ("redis", "url"))
        yield Finding(path, "needs other hosts: fleet.listen or redis.url", also)
    if not config.has_transceivers:
        yield Finding(path, "needs transceivers, and transceiver.workers is 0", _NO_TRANSCEIVERS)


def _what_a_fleet_needs(config: Config) -> Iterator[Finding]:
    if not config.in_fleet:
        return
    also: tuple[KeyPath, ...] = (("fleet", "listen"), ("redis", "url"))
    if not config.ufrag.keys:
        yield Finding(
            ("ufrag", "keys"), "must name keys that all hosts of the fleet have in common", also
        )
    try:
        link = ip_address(config.link.address)
    except ValueError:
        return  # that has been said
    if str(link) in ("127.0.0.1", "::1"):
        yield Finding(("link", "address"), f"{link} cannot be reached from the other hosts", also)
    elif not link.is_loopback and config.link.mtu > LARGEST_FRAME:
        yield Finding(
            ("link", "mtu"),
            f"must fit between hosts: {LARGEST_FRAME} at most, 1372 inside WireGuard",
            (("link", "address"), *also),
        )


_CHECKS: Final[tuple[Callable[[Config], Iterator[Finding]], ...]] = (
    _one_kind_alone,
    _clusters,
    _ingress,
    _fleet,
    _calls_of_others,
    _what_a_fleet_needs,
)
