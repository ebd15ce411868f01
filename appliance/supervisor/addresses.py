"""Which addresses this host has, what a wildcard stands for, and what goes into answers.

A public socket is always bound to one exact address: then the socket *is* the local address of a flow, and
a reply leaves from where the client sent to. So a wildcard in the configuration is expanded at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, NamedTuple

import ifaddr

from config.ids import Endpoint

_IFF_UP: Final = 0x1
_INTERFACES: Final = Path("/sys/class/net")


class ListenPoint(NamedTuple):
    """One exact address to bind, and the entry of the configuration it came from."""

    endpoint: Endpoint
    entry: int
    explicit: bool
    """The operator named it; otherwise a wildcard was expanded."""


def own_addresses() -> tuple[str, ...]:
    """Addresses of the interfaces that are up, IPv4 first, without link-local ones.

    Link-local addresses need a scope that a client elsewhere cannot know.
    """
    found: dict[str, IPv4Address | IPv6Address] = {}
    for adapter in ifaddr.get_adapters():
        if not _is_up(adapter.name):
            continue
        for ip in adapter.ips:
            address = ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not address.is_link_local:
                found[str(address)] = address
    return tuple(sorted(found, key=lambda text: found[text].version))


def expand(listen: Sequence[Endpoint], own: Sequence[str]) -> tuple[ListenPoint, ...]:
    """Exact addresses for all entries, in their order; each only once.

    `[::]` on a host without IPv6 stands for nothing, and that is no mistake: it is the default.
    """
    points: dict[Endpoint, ListenPoint] = {}
    for entry, endpoint in enumerate(listen):
        if not ip_address(endpoint.host).is_unspecified:
            points[endpoint] = ListenPoint(endpoint, entry, explicit=True)
            continue
        for host in own:
            exact = Endpoint(host, endpoint.port)
            if exact.is_ipv6 == endpoint.is_ipv6:
                points.setdefault(exact, ListenPoint(exact, entry, explicit=False))
    return tuple(points.values())


def advertised(configured: Sequence[Endpoint], bound: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """What goes into answers: what the operator says, else where we listen.

    Loopback addresses only if there is nothing else: browsers refuse them in places, and they mean nothing
    to another machine.
    """
    if configured:
        return tuple(dict.fromkeys(configured))
    everything = tuple(dict.fromkeys(bound))
    reachable = tuple(e for e in everything if not ip_address(e.host).is_loopback)
    return reachable or everything


def _is_up(interface: str) -> bool:
    """The interface is administratively up; unknown (no sysfs, an odd name) counts as up."""
    try:
        flags = (_INTERFACES / interface.partition(":")[0] / "flags").read_text()
        return bool(int(flags, 16) & _IFF_UP)
    except (OSError, ValueError):
        return True
