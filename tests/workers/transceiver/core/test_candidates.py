"""Candidates are read or refused; the rest of what they say is in the tests of offers and fragments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from workers.transceiver.core.candidates import MAX_CANDIDATES, read_candidates
from workers.transceiver.core.sdp import Attribute, Block, SdpError


def block(*values: str) -> Block:
    return Block(1, tuple(Attribute(n, "candidate", v) for n, v in enumerate(values, start=1)))


def test_the_highest_priority_comes_first_and_once() -> None:
    candidates = read_candidates(
        block("1 1 udp 10 192.0.2.1 5000 typ host", "2 1 UDP 20 2001:DB8::1 5000 typ host"),
        block("3 1 udp 5 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 1 ufrag abcd"),
    )
    assert candidates == (Endpoint("2001:db8::1", 5000), Endpoint("192.0.2.1", 5000))


def test_names_tcp_rtcp_and_port_zero_are_left_out() -> None:
    assert not read_candidates(
        block(
            "1 1 udp 10 4e2b.local 5000 typ host",
            "1 1 tcp 10 192.0.2.1 9 typ host tcptype active",
            "1 2 udp 10 192.0.2.1 5000 typ host",
            "1 1 udp 10 192.0.2.1 0 typ host",
        )
    )


def test_of_tcp_those_count_that_can_be_connected_to() -> None:
    candidates = block(
        "1 1 udp 90 192.0.2.9 5000 typ host",
        "1 1 tcp 10 192.0.2.1 9 typ host tcptype active",
        "1 1 TCP 20 192.0.2.2 443 typ host tcptype passive",
        "1 1 tcp 30 192.0.2.3 443 typ srflx raddr 10.0.0.1 rport 1 tcptype so generation 0",
        "1 1 tcp 40 192.0.2.4 443 typ host",
        "1 1 tcp 50 192.0.2.5 443 typ host tcptype",
    )
    assert read_candidates(candidates, transport=Transport.TCP) == (
        Endpoint("192.0.2.3", 443),
        Endpoint("192.0.2.2", 443),
    )


@pytest.mark.parametrize(
    "value",
    ["", "1 1 udp 10 192.0.2.1 5000", "1 x udp 10 192.0.2.1 5000 typ host",
     "1 1 udp 10 192.0.2.1 65536 typ host", "1 1 udp 99999999999 192.0.2.1 1 typ host"],
)  # fmt: skip
def test_what_is_no_candidate_names_its_line(value: str) -> None:
    with pytest.raises(SdpError) as caught:
        read_candidates(block("1 1 udp 10 192.0.2.1 1 typ host", value))
    assert caught.value.line == 2


def test_there_is_a_limit() -> None:
    with pytest.raises(SdpError, match="more than"):
        read_candidates(block(*["1 1 udp 10 x.local 1 typ host"] * (MAX_CANDIDATES + 1)))


@given(st.text())
def test_any_text(value: str) -> None:
    try:
        read_candidates(block(value))
    except SdpError:
        return
