"""What a wildcard stands for, and what goes into answers."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from appliance.supervisor.addresses import ListenPoint, advertised, expand, own_addresses
from config.ids import Endpoint

OWN = ("127.0.0.1", "192.0.2.7", "::1", "2001:db8::7")


def test_own_addresses_can_be_bound_and_are_not_link_local() -> None:
    found = own_addresses()
    assert "127.0.0.1" in found
    assert not any(ip_address(host).is_link_local for host in found)
    versions = [ip_address(host).version for host in found]
    assert versions == sorted(versions)
    for host in found:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))


def test_wildcards_stand_for_all_addresses_of_their_family() -> None:
    points = expand([Endpoint("0.0.0.0", 3478), Endpoint("::", 3479)], OWN)
    assert [str(p.endpoint) for p in points] == [
        "127.0.0.1:3478",
        "192.0.2.7:3478",
        "[::1]:3479",
        "[2001:db8::7]:3479",
    ]
    assert [(p.entry, p.explicit) for p in points] == [
        (0, False),
        (0, False),
        (1, False),
        (1, False),
    ]


def test_an_ipv6_wildcard_on_a_host_without_ipv6_stands_for_nothing() -> None:
    assert expand([Endpoint("::", 3478)], ("127.0.0.1",)) == ()


def test_an_address_that_is_named_and_meant_is_bound_once() -> None:
    exact = Endpoint("192.0.2.7", 3478)
    both = expand([Endpoint("0.0.0.0", 3478), exact], OWN)
    assert ListenPoint(exact, 1, explicit=True) in both
    assert len(both) == 2
    assert expand([exact, Endpoint("0.0.0.0", 3478)], OWN)[0] == ListenPoint(exact, 0, True)


def test_advertises_where_it_listens_without_loopback() -> None:
    bound = [p.endpoint for p in expand([Endpoint("0.0.0.0", 3478), Endpoint("::", 3478)], OWN)]
    assert advertised((), bound) == (Endpoint("192.0.2.7", 3478), Endpoint("2001:db8::7", 3478))


def test_advertises_loopback_when_there_is_nothing_else() -> None:
    bound = [Endpoint("127.0.0.1", 3478), Endpoint("::1", 3478)]
    assert advertised((), bound) == tuple(bound)


@pytest.mark.parametrize("order", [0, 1])
def test_what_the_operator_advertises_is_kept_in_order(order: int) -> None:
    wanted = [Endpoint("203.0.113.1", 443), Endpoint("198.51.100.1", 3478)]
    if order:
        wanted.reverse()
    assert advertised([*wanted, wanted[0]], [Endpoint("127.0.0.1", 1)]) == tuple(wanted)
