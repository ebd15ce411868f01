"""Addresses that are listened on, and those that answers say: what each kind may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from config.findings import Finding
from config.ids import Endpoint
from config.problems import KeyPath


def is_wildcard(host: str) -> bool:
    """It stands for every address of this host."""
    return ip_address(host).is_unspecified


def is_this_host(host: str) -> bool:
    """What is said there never leaves this host."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def listeners(path: KeyPath, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """What is wrong with addresses to listen on."""
    if not endpoints:
        yield Finding(path, "must have at least one address")
    wildcards = {(e.is_ipv6, e.port): e for e in endpoints if is_wildcard(e.host) and e.port}
    seen: set[Endpoint] = set()
    for index, endpoint in enumerate(endpoints):
        here = (*path, index)
        wildcard = wildcards.get((endpoint.is_ipv6, endpoint.port))
        if endpoint.port and endpoint in seen:
            yield Finding(here, f"{endpoint} is there twice")
        elif wildcard is not None and endpoint != wildcard:
            yield Finding(here, f"{endpoint} is already covered by {wildcard}")
        elif ip_address(endpoint.host).is_multicast:
            yield Finding(here, f"{endpoint.host} is a multicast address")
        seen.add(endpoint)


def public(path: KeyPath, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """What is wrong with addresses that clients and several workers share."""
    yield from listeners(path, endpoints)
    for index, endpoint in enumerate(endpoints):
        if not endpoint.port:
            # Every relay worker must bind the same port; the kernel would give each its own.
            yield Finding((*path, index), "port 0 is not in 1-65535")
        yield from link_local((*path, index), endpoint)


def link_local(path: KeyPath, endpoint: Endpoint) -> Iterator[Finding]:
    """That it is an address of one cable, if it is."""
    if endpoint.is_ipv6 and ip_address(endpoint.host).is_link_local:
        yield Finding(
            path, f"{endpoint.host} is link-local: it means nothing to a client elsewhere"
        )


def is_same_listener(one: Endpoint, other: Endpoint) -> bool:
    """Only one of them could be bound."""
    if not one.port or (one.port, one.is_ipv6) != (other.port, other.is_ipv6):
        return False
    return one.host == other.host or is_wildcard(one.host) or is_wildcard(other.host)


def advertised(path: KeyPath, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    """What is wrong with addresses that answers are to say."""
    repeated = {e for e, times in Counter(endpoints).items() if times > 1}
    for index, endpoint in enumerate(endpoints):
        yield from link_local((*path, index), endpoint)
        here = (*path, index)
        if not endpoint.port:
            yield Finding(here, "port 0 is not in 1-65535")
        if is_wildcard(endpoint.host):
            yield Finding(here, f"{endpoint.host} is no address a client could send to")
        elif endpoint in repeated:
            repeated.remove(endpoint)
            yield Finding(here, f"{endpoint} is there twice")
