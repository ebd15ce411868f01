from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.signaling.client_address import CUSTOMARY, STANDARD, Client, Proxies

TRUSTED = Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:aa::/48"])


def of(peer: str, *values: str, name: str = "x-forwarded-for", proxies: Proxies = TRUSTED) -> str:
    headers = [(name.encode(), value.encode()) for value in values]
    return str(proxies.client(peer, headers).address)


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # no proxy of ours says so
        ("127.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("127.0.0.1", ["203.0.113.66, 198.51.100.9"], "198.51.100.9"),  # the client's own words
        ("127.0.0.1", ["198.51.100.9, 10.1.1.1"], "198.51.100.9"),
        ("127.0.0.1", ["198.51.100.9", "10.1.1.1"], "198.51.100.9"),
        ("127.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("127.0.0.1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        ("127.0.0.1", ["2001:db8::9"], "2001:db8::9"),
        ("::ffff:127.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("2001:db8:aa::1", ["::ffff:198.51.100.9"], "198.51.100.9"),
        ("?", [], "0.0.0.0"),
    ],
)
def test_the_last_word_of_somebody_who_is_believed(
    peer: str, values: list[str], client: str
) -> None:
    assert of(peer, *values) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=198.51.100.9", "198.51.100.9"),
        ('For="[2001:db8::9]:4711";proto=https;by=203.0.113.4', "2001:db8::9"),
        ("proto=https;for=198.51.100.9, for=10.0.0.1", "198.51.100.9"),
        ("for=unknown", "127.0.0.1"),
        ("for=_hidden, for=10.0.0.1", "10.0.0.1"),
        ("proto=https", "127.0.0.1"),
    ],
)
def test_the_standard_header(value: str, client: str) -> None:
    believing = Proxies(["127.0.0.1", "10.0.0.0/8"], STANDARD)
    assert of("127.0.0.1", value, name="forwarded", proxies=believing) == client


@pytest.mark.parametrize(
    ("header", "client"), [(CUSTOMARY, "198.51.100.9"), (STANDARD, "203.0.113.66")]
)
def test_the_header_that_the_proxy_does_not_write_is_the_clients(header: str, client: str) -> None:
    sent = [(b"forwarded", b"for=203.0.113.66"), (b"x-forwarded-for", b"198.51.100.9")]
    found = Proxies(["127.0.0.1"], header).client("127.0.0.1", sent)
    assert (str(found.address), found.forwarded) == (client, True)
    # It says nothing about who it is, but it has come through something.
    (other,) = [pair for pair in sent if pair[0].decode() != header]
    assert Proxies(["127.0.0.1"], header).client("127.0.0.1", [other]) == Client(
        ip_address("127.0.0.1"), forwarded=True, vouched=True
    )


@pytest.mark.parametrize(
    ("host", "here"),
    [(b"localhost:8080", True), (b"127.0.0.1:8080", True), (b"evil.example:8080", False)],
)
def test_a_name_that_points_here_is_somebody_elses(host: bytes, here: bool) -> None:
    assert Proxies().client("127.0.0.1", [(b"host", host)]).is_here == here


def test_who_is_here() -> None:
    here = ip_address("127.0.0.1")
    assert Proxies().client("127.0.0.1", []).is_here
    assert Proxies().client("::1", []).is_here
    assert not Proxies().client("192.0.2.1", []).is_here
    # A proxy of which we know nothing speaks for somebody elsewhere, who might be anybody.
    strange = Proxies().client("127.0.0.1", [(b"x-forwarded-for", b"127.0.0.1")])
    assert strange == Client(here, forwarded=True)
    assert not strange.is_here


@given(
    st.text(), st.lists(st.tuples(st.sampled_from([b"forwarded", b"x-forwarded-for"]), st.binary()))
)
def test_any_bytes_are_somebody(peer: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(TRUSTED.client(peer, headers), Client)
