"""The relay's reading of STUN: any bytes give a summary or Malformed, and aioice's give the right one."""

import struct
from contextlib import suppress

import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stun import USERNAME, attribute, message
from workers.wire.stun import MAX_ATTRIBUTES, StunClass, StunSummary, parse_stun
from workers.wire.types import DropReason, Malformed

MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256 = 0x0008, 0x001C


def refusal(datagram: bytes) -> DropReason:
    with pytest.raises(Malformed) as caught:
        parse_stun(datagram)
    return caught.value.reason


@given(st.binary(max_size=200))
def test_any_bytes_are_a_summary_or_malformed(datagram: bytes) -> None:
    with suppress(Malformed):
        parse_stun(datagram)


@given(
    st.sampled_from([0x0001, 0x0011, 0x0101, 0x0111, 0x0003, 0x3EEE]),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=50)), max_size=40),
    st.binary(max_size=9),
)
def test_any_attributes_are_a_summary_or_malformed(
    type_: int, attributes: list[tuple[int, bytes]], rest: bytes
) -> None:
    datagram = message(type_, *(attribute(t, v) for t, v in attributes))
    with suppress(Malformed):
        parse_stun(datagram)
    with suppress(Malformed):
        parse_stun(datagram[:-1] + rest)


@given(
    before=st.lists(
        st.tuples(st.integers(0x20, 0xFFFF), st.binary(max_size=1300)), max_size=MAX_ATTRIBUTES - 1
    ),
    ours=st.text("abcXYZ019", min_size=1, max_size=250),
    theirs=st.text("abcXYZ019+/", max_size=250),
)
def test_username_is_found_wherever_it_stands(
    before: list[tuple[int, bytes]], ours: str, theirs: str
) -> None:
    parts = [attribute(t, v) for t, v in before]
    datagram = message(1, *parts, attribute(USERNAME, f"{ours}:{theirs}".encode()))
    if len(datagram) <= 0xFFFF:
        assert parse_stun(datagram) == (StunClass.REQUEST, ours, theirs)


def test_reads_what_aioice_writes() -> None:
    request = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST)
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 2
    request.attributes["USERNAME"] = "ours:theirs"
    request.add_message_integrity(b"password")
    assert parse_stun(bytes(request)) == StunSummary(StunClass.REQUEST, "ours", "theirs")


@pytest.mark.parametrize(
    ("type_", "stun_class"),
    [(0x0011, StunClass.INDICATION), (0x0101, StunClass.SUCCESS), (0x0111, StunClass.ERROR)],
)
def test_other_classes_need_no_username(type_: int, stun_class: StunClass) -> None:
    assert parse_stun(message(type_)) == (stun_class, "", "")


def test_no_username_is_an_empty_one() -> None:
    assert parse_stun(message(1)) == (StunClass.REQUEST, "", "")
    assert parse_stun(message(1, attribute(USERNAME, b""))) == (StunClass.REQUEST, "", "")


@pytest.mark.parametrize(
    ("seal", "length"), [(MESSAGE_INTEGRITY, 20), (MESSAGE_INTEGRITY_SHA256, 32)]
)
def test_a_username_after_message_integrity_does_not_count(seal: int, length: int) -> None:
    sealed = attribute(seal, bytes(length))
    assert parse_stun(message(1, sealed, attribute(USERNAME, b"a:b"))).ours == ""


def test_the_first_username_counts() -> None:
    two = (attribute(USERNAME, b"a:b"), attribute(USERNAME, b"c:d"))
    assert parse_stun(message(1, *two)).ours == "a"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes(19),
        bytes(20),  # no magic cookie
        message(1)[:-1],
        message(1) + b"1234",  # longer than it says
        message(1, attribute(USERNAME, b"a:b"))[:-4],
        message(1, b"ab"),  # length not a multiple of four
        message(1, struct.pack(">HH", 0x8000, 5)),
        message(1, attribute(USERNAME, b"x" * 514)),
        message(1, *[attribute(0x8000, b"")] * (MAX_ATTRIBUTES + 1)),
        message(0x4001),
    ],
)
def test_malformed(datagram: bytes) -> None:
    assert refusal(datagram) is DropReason.MALFORMED_STUN


def test_other_methods_are_unsupported() -> None:
    assert refusal(message(0x0003)) is DropReason.UNSUPPORTED  # Allocate
