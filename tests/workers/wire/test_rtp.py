"""RTP on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.rtp import RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason, Malformed

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence=st.integers(0, 2**16 - 1),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=1200),
)


def refused(packet: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse_rtp(packet)
    assert caught.value.reason is DropReason.MALFORMED_RTP
    return caught.value.detail


@given(packets)
def test_what_is_encoded_is_parsed(packet: RtpPacket) -> None:
    assert parse_rtp(encode_rtp(packet)) == packet


def test_the_bytes_are_those_of_the_rfc() -> None:
    encoded = encode_rtp(RtpPacket(111, True, 0x0102, 0x03040506, 0x0708090A, b"hi"))
    assert encoded == bytes.fromhex("80ef0102030405060708090a") + b"hi"


def test_csrcs_extension_and_padding_are_skipped() -> None:
    header = bytes.fromhex("b26f 0001 00000002 00000003")
    csrcs = bytes(8)
    extension = bytes.fromhex("bede 0001 10aa0000")
    assert parse_rtp(header + csrcs + extension + b"voice" + b"\x00\x00\x03") == RtpPacket(
        111, False, 1, 2, 3, b"voice"
    )


@pytest.mark.parametrize(
    ("packet", "detail"),
    [
        (b"", "short header"),
        (bytes(11), "short header"),
        (bytes(12), "version 0"),
        (b"\x81" + bytes(11), "CSRCs or extension exceed the packet"),
        (b"\x90" + bytes(14), "short extension"),
        (b"\x90" + bytes(13) + b"\x00\x01", "CSRCs or extension exceed the packet"),
        (b"\xa0" + bytes(12), "padding of 0"),
        (b"\xa0" + bytes(11) + b"\x02", "padding of 2"),
    ],
)
def test_what_is_not_whole_is_refused(packet: bytes, detail: str) -> None:
    assert refused(packet) == detail


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\xbf\x6f" + tail))
def test_any_bytes_give_a_packet_or_malformed(data: bytes) -> None:
    reason = DropReason.MALFORMED_RTP
    try:
        assert len(parse_rtp(data).payload) <= len(data) - 12
    except Malformed as error:
        reason = error.reason
    assert reason is DropReason.MALFORMED_RTP
