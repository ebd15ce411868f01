"""INIT chunks of the SDP: read with suspicion, and an association that begins where both end."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.network import Leg, Network
from tests.support.sctp import A, B, End
from workers.transceiver.core.sctp.interface import (
    ChannelOpened,
    OpenChannel,
    PacketReceived,
    Parameters,
    SendMessage,
)
from workers.transceiver.core.sctp.snap import (
    MAX_TEXT,
    encode_sctp_init,
    introduce,
    make_init,
    parse_sctp_init,
)
from workers.transceiver.core.sctp.states import AssociationState
from workers.wire.sctp import encode_chunk, encode_packet, parse_init
from workers.wire.sctp_chunks import Init, Parameter
from workers.wire.types import DropReason, Malformed

CHROMIUM = "AQAAHnFOWwoAUAAA/////01fkObAAAAEgAgABoLA"
"""What Chromium 156 offered."""


def test_what_chromium_offers() -> None:
    peer = introduce(parse_sctp_init(CHROMIUM))
    assert peer.tag == 0x714E5B0A
    assert peer.a_rwnd == 5 << 20
    assert peer.initial_tsn == 0x4D5F90E6
    assert peer.inbound == 65_535
    assert peer.forward_tsn
    assert peer.re_config


def test_ours_has_the_form_of_chromiums() -> None:
    network = Network(1)
    chunk = make_init(network.entropy)
    text = encode_sctp_init(chunk)
    assert len(text) == len(CHROMIUM)
    assert parse_sctp_init(text) == chunk
    assert introduce(chunk).tag != introduce(make_init(network.entropy)).tag


GOOD = Init(False, 7, 100_000, 10, 10, 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AQ",
        "AQAAHnFOWwoAUAAA/////01fkObAAAAEgAgABoLA=",
        "AQAAHnFOWwoAUAAA/////01fkObAAAAEgAgAB_LA",
        "A" * (MAX_TEXT + 4),
        b64encode(encode_chunk(GOOD._replace(ack=True))).decode(),
        b64encode(encode_chunk(GOOD._replace(tag=0))).decode(),
        b64encode(encode_chunk(GOOD._replace(inbound=0))).decode(),
        b64encode(encode_chunk(GOOD._replace(a_rwnd=10))).decode(),
        b64encode(encode_chunk(GOOD)[:-1]).decode(),
        b64encode(encode_chunk(GOOD) + bytes(4)).decode(),
        # The parameter of length zero that sends other stacks round for ever.
        b64encode(b"\1\0\0\x18" + encode_chunk(GOOD)[4:] + b"\x80\x08\0\0").decode(),
    ],
)
def test_what_cannot_be_meant(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_sctp_init(text)
    assert caught.value.reason is DropReason.MALFORMED_SCTP


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda b: b64encode(b).decode())))
def test_any_text_is_a_chunk_or_malformed(text: str) -> None:
    try:
        chunk = parse_sctp_init(text)
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_SCTP
    else:
        assert introduce(chunk).tag


@given(
    st.builds(
        Init,
        st.just(False),
        st.integers(1, (1 << 32) - 1),
        st.integers(1500, (1 << 32) - 1),
        st.integers(1, 65_535),
        st.integers(1, 65_535),
        st.integers(0, (1 << 32) - 1),
        st.lists(
            st.builds(Parameter, st.integers(0, 65_535), st.binary(max_size=30)), max_size=4
        ).map(tuple),
    )
)
def test_whatever_a_later_stack_adds_is_read(init: Init) -> None:
    chunk = parse_sctp_init(encode_sctp_init(encode_chunk(init)))
    peer = introduce(chunk)
    assert (peer.tag, peer.initial_tsn, peer.a_rwnd) == (init.tag, init.initial_tsn, init.a_rwnd)
    assert parse_init(chunk) == init


def couple(seed: int = 1) -> tuple[Network, Leg, End, End]:
    """Two ends that know each other's INIT."""
    network = Network(seed)
    leg = Leg("wire", 0.05)
    one, other = make_init(network.entropy), make_init(network.entropy)
    a = End(network, leg, A, B, Parameters(even=True, our_init=one, their_init=other))
    b = End(network, leg, B, A, Parameters(even=False, our_init=other, their_init=one))
    return network, leg, a, b


def test_it_stands_without_a_packet() -> None:
    _, _, a, b = couple()
    a.start()
    b.start()
    assert a.core.state is b.core.state is AssociationState.ESTABLISHED
    assert a.packets == b.packets == 0


def test_the_first_message_takes_one_way() -> None:
    network, _, a, b = couple()
    a.start()
    b.start()
    a.do(OpenChannel("chat"))
    assert [opened.label for opened in a.of(ChannelOpened)] == ["chat"]
    a.do(SendMessage(0, b"hello", text=True))
    assert network.run_until(lambda: b.received, within=1) == pytest.approx(0.05)
    assert b.received == [b"hello"]


def test_what_comes_before_our_end_stands_is_sent_again() -> None:
    network, _, a, b = couple()
    a.start()
    a.do(OpenChannel("chat"))
    a.do(SendMessage(0, b"hello"))
    network.run(0.2)
    assert b.received == []
    b.start()
    network.run_until(lambda: b.received, within=10)
    assert b.received == [b"hello"]


def test_the_tags_are_those_of_the_sdp() -> None:
    _, _, a, b = couple()
    a.start()
    b.start()
    stranger = encode_packet(5000, 5000, 1, [encode_chunk(Init(False, 9, 10**5, 1, 1, 1))])
    outputs = a.do(PacketReceived(stranger))
    assert a.core.state is AssociationState.ESTABLISHED
    assert [type(output).__name__ for output in outputs] == ["Dropped"]


def test_one_init_alone_changes_nothing() -> None:
    network = Network(2)
    leg = Leg("wire", 0.05)
    one = make_init(network.entropy)
    a = End(network, leg, A, B, Parameters(even=True, our_init=one))
    b = End(network, leg, B, A, Parameters(even=False, their_init=one))
    a.start()
    b.start()
    network.run(1)
    assert a.core.state is b.core.state is AssociationState.ESTABLISHED
    assert a.packets
