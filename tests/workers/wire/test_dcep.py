"""DCEP: two messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.dcep import ChannelAck, ChannelOpen, Reliability, encode_dcep, parse_dcep
from workers.wire.types import DropReason, Malformed

text = st.text(max_size=50).filter(lambda t: t.isprintable())


@given(
    st.builds(
        ChannelOpen,
        text,
        text,
        st.booleans(),
        st.sampled_from(Reliability),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, 65535),
    )
)
def test_what_is_written_is_read(message: ChannelOpen) -> None:
    assert parse_dcep(encode_dcep(message)) == message


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda b: b"\x03" + b)))
def test_any_bytes_are_a_message_or_malformed(junk: bytes) -> None:
    try:
        parse_dcep(junk)
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_SCTP


def test_the_acknowledgement_is_one_byte() -> None:
    assert encode_dcep(ChannelAck()) == b"\x02"
    assert parse_dcep(b"\x02") == ChannelAck()


def test_the_layout_of_an_open() -> None:
    message = ChannelOpen("ab", "c", False, Reliability.RETRANSMITS, 5, 256)
    assert encode_dcep(message) == b"\x03\x81\x01\x00\0\0\0\x05\0\x02\0\x01abc"


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x03",
        b"\x03\x00\x01\x00\0\0\0\0\0\x01\0\0",
        b"\x03\x00\x01\x00\0\0\0\0\0\0\0\0x",
        b"\x03\x05\x01\x00\0\0\0\0\0\0\0\0",
        b"\x03\x00\x01\x00\0\0\0\0\0\x01\0\0\xff",
    ],
)
def test_anything_else_is_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        parse_dcep(junk)
