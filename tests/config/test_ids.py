from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import (
    ClusterId,
    Endpoint,
    Epoch,
    FlowKey,
    Role,
    Route,
    TransceiverId,
    Transport,
)

ADDRESSES = st.ip_addresses()
ENDPOINTS = st.builds(
    lambda address, port: Endpoint(str(address), port), ADDRESSES, st.integers(0, 65535)
)


@given(ENDPOINTS)
def test_an_endpoint_reads_back_what_it_writes(endpoint: Endpoint) -> None:
    assert Endpoint.parse(str(endpoint)) == endpoint


@given(ENDPOINTS)
def test_an_endpoint_packs_into_18_bytes_and_back(endpoint: Endpoint) -> None:
    packed = endpoint.pack()
    assert len(packed) == 18
    unpacked = Endpoint.unpack(packed)
    assert unpacked.port == endpoint.port
    address = ip_address(endpoint.host)
    # A v4-mapped IPv6 address and the IPv4 address are one on the wire.
    assert unpacked.host == str(getattr(address, "ipv4_mapped", None) or address)


@given(st.text(max_size=40))
def test_parse_gives_an_endpoint_or_says_what_is_wrong(text: str) -> None:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert 0 <= endpoint.port <= 65535


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("127.0.0.1", "'127.0.0.1' is not ADDRESS:PORT"),
        ("127.0.0.1:", "'' is not a port number"),
        ("127.0.0.1:x", "'x' is not a port number"),
        ("127.0.0.1:-1", "'-1' is not a port number"),
        ("127.0.0.1:٣", "'٣' is not a port number"),
        ("127.0.0.1:70000", "port 70000 is not in 1-65535"),
        ("127.0.0.1:" + "9" * 5000, f"port {'9' * 20} is not in 1-65535"),
        ("::1:80", "needs brackets, [::1]:80"),
        ("localhost:80", "'localhost' is not an IP address"),
        ("[::1", "'[:' is not an IP address"),
    ],
)
def test_what_is_wrong_with_an_address(text: str, what: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        Endpoint.parse(text)
    assert what in str(caught.value) or "needs brackets" in str(caught.value)


def test_text_is_canonical() -> None:
    assert Endpoint.parse("[2001:DB8:0::1]:1") == ("2001:db8::1", 1)


@pytest.mark.parametrize("length", [0, 6, 17, 19])
def test_unpack_refuses_other_lengths(length: int) -> None:
    with pytest.raises(ValueError, match="18 bytes"):
        Endpoint.unpack(bytes(length))


def test_names_for_humans() -> None:
    key = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5), Endpoint("::1", 3478))
    assert str(key) == "192.0.2.1:5>[::1]:3478/udp"
    assert str(Route(ClusterId(1), TransceiverId(2), Epoch(3))) == "1/2/3"
    assert Role.RELAY.label == "relay"
