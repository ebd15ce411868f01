"""RTCP on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.rtcp import (
    MAX_LOST,
    MAX_PACKETS,
    MIN_LOST,
    Feedback,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    RtcpType,
    SenderReport,
    SourceDescription,
    Unread,
    encode_rtcp,
    is_rtcp,
    parse_rtcp,
)
from workers.wire.types import DropReason, Malformed

words = st.integers(0, 2**32 - 1)
blocks = st.lists(
    st.builds(
        ReportBlock,
        words,
        st.integers(0, 255),
        st.integers(MIN_LOST, MAX_LOST),
        words,
        words,
        words,
        words,
    ),
    max_size=31,
).map(tuple)
packets: st.SearchStrategy[RtcpPacket] = st.one_of(
    st.builds(SenderReport, words, st.integers(0, 2**64 - 1), words, words, words, blocks),
    st.builds(ReceiverReport, words, blocks),
    st.builds(
        SourceDescription,
        st.lists(st.tuples(words, st.binary(max_size=255)), max_size=31).map(tuple),
    ),
    st.builds(Goodbye, st.lists(words, max_size=31).map(tuple), st.binary(max_size=255)),
    st.builds(
        Feedback,
        st.sampled_from([RtcpType.TRANSPORT_FEEDBACK, RtcpType.PAYLOAD_FEEDBACK]),
        st.integers(0, 31),
        words,
        words,
        st.binary(max_size=40).map(lambda body: body[: len(body) // 4 * 4]),
    ),
    st.builds(Unread, st.sampled_from([192, 204, 207, 223])),
)


@given(st.lists(packets, min_size=1, max_size=6))
def test_what_is_encoded_is_parsed(compound: list[RtcpPacket]) -> None:
    encoded = encode_rtcp(compound)
    assert len(encoded) % 4 == 0
    assert parse_rtcp(encoded) == compound


def test_a_sender_report_has_the_bytes_of_the_rfc() -> None:
    block = ReportBlock(0xA1A2A3A4, 0x40, -2, 0x0001FFFF, 7, 0xB1B2B3B4, 0x10000)
    report = SenderReport(0x01020304, 0xC1C2C3C4D1D2D3D4, 0x05060708, 9, 10, (block,))
    assert encode_rtcp([report]).hex(" ", 4) == (
        "81c8000c 01020304 c1c2c3c4 d1d2d3d4 05060708 00000009 0000000a "
        "a1a2a3a4 40fffffe 0001ffff 00000007 b1b2b3b4 00010000"
    )


def test_a_name_ends_with_one_to_four_zeros() -> None:
    for length, expected in (
        (1, "81ca0002 00000005 01016100"),
        (2, "81ca0003 00000005 01026161 00000000"),
    ):
        named = encode_rtcp([SourceDescription(((5, b"a" * length),))])
        assert named.hex(" ", 4) == expected


def test_items_other_than_names_are_stepped_over() -> None:
    # CNAME "ab", TOOL "x"; then a chunk with NOTE only.
    compound = bytes.fromhex("82ca0006 00000001 01026162 06017800 00000002 07016e00 00000000")
    assert parse_rtcp(compound) == [SourceDescription(((1, b"ab"),))]


def test_feedback_may_travel_alone() -> None:
    nack = bytes.fromhex("81cd0003 00000001 00000002 00050000")
    assert parse_rtcp(nack) == [
        Feedback(RtcpType.TRANSPORT_FEEDBACK, 1, 1, 2, bytes.fromhex("00050000"))
    ]


def test_what_is_unknown_is_stepped_over_by_its_length() -> None:
    # XR with a receiver reference time block, then BYE.
    compound = bytes.fromhex("80cf0004 00000001 04000002 00000000 00000000 81cb0001 00000001")
    assert parse_rtcp(compound) == [Unread(207), Goodbye((1,))]


def test_the_extension_of_a_report_is_left_out() -> None:
    assert parse_rtcp(bytes.fromhex("80c90003 00000001 deadbeef deadbeef")) == [ReceiverReport(1)]


def test_padding_is_left_out() -> None:
    assert parse_rtcp(bytes.fromhex("a1cb0003 00000001 00000000 00000008")) == [Goodbye((1,))]


def test_a_goodbye_may_give_a_reason() -> None:
    compound = bytes.fromhex("81cb0003 00000001 05656e6f 75676800")
    assert parse_rtcp(compound) == [Goodbye((1,), b"enoug")]


def test_losses_beyond_24_bits_are_clamped() -> None:
    for lost, expected in ((2**30, MAX_LOST), (-(2**30), MIN_LOST)):
        report = encode_rtcp([ReceiverReport(1, (ReportBlock(2, 0, lost, 0, 0, 0, 0),))])
        (parsed,) = parse_rtcp(report)
        assert isinstance(parsed, ReceiverReport)
        assert parsed.blocks[0].lost == expected


@pytest.mark.parametrize(
    ("compound", "detail"),
    [
        ("", "short"),
        ("80c9", "short"),
        ("00c90000", "version 0"),
        ("80c90001", "truncated packet"),
        ("80c90001 00000001 80c9", "truncated header"),
        ("a0c90000", "padding of 0"),
        ("a0c90001 00000000", "padding of 0"),
        ("a0c90001 00000009", "padding of 9"),
        ("80c80001 00000001", "short packet of type 200"),
        ("80c90000", "short packet of type 201"),
        ("81c90001 00000001", "short packet of type 201"),
        ("81ca0000", "short packet of type 202"),
        ("81ca0002 00000001 01026161", "a chunk without end"),
        ("81ca0002 00000001 01ff6161", "an item exceeds its packet"),
        ("a1ca0003 00000001 01026161 08000004", "a chunk without end"),
        ("82cb0001 00000001", "short packet of type 203"),
        ("81cb0002 00000001 04616161", "a reason exceeds its packet"),
        ("80cd0001 00000001", "short packet of type 205"),
    ],
)
def test_what_is_not_whole_is_refused(compound: str, detail: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_rtcp(bytes.fromhex(compound))
    assert caught.value.reason is DropReason.MALFORMED_RTP
    assert caught.value.detail == f"RTCP: {detail}"


def test_a_compound_has_only_so_many_packets() -> None:
    empty = bytes.fromhex("80cf0000")
    assert len(parse_rtcp(empty * MAX_PACKETS)) == MAX_PACKETS
    with pytest.raises(Malformed):
        parse_rtcp(empty * (MAX_PACKETS + 1))


@given(
    st.binary(max_size=120)
    | st.tuples(st.integers(200, 207), st.binary(max_size=80)).map(
        lambda parts: bytes((0xA1, parts[0], 0, len(parts[1]) // 4)) + parts[1]
    )
    | st.tuples(packets.map(lambda p: encode_rtcp([p])), st.integers(0, 4000)).map(
        lambda pair: bytes(
            b ^ (1 << pair[1] % 8) * (i == pair[1] // 8) for i, b in enumerate(pair[0])
        )
    )
)
def test_any_bytes_give_packets_or_malformed(data: bytes) -> None:
    reason = DropReason.MALFORMED_RTP
    try:
        assert 1 <= len(parse_rtcp(data)) <= MAX_PACKETS
    except Malformed as error:
        reason = error.reason
    assert reason is DropReason.MALFORMED_RTP


@pytest.mark.parametrize(
    ("second", "expected"),
    [(191, False), (192, True), (200, True), (223, True), (224, False), (111, False)],
)
def test_rtcp_is_told_by_its_type(second: int, expected: bool) -> None:
    assert is_rtcp(bytes((0x80, second))) is expected
