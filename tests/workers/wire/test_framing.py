"""Frames of RFC 4571: whatever the network makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.framing import encode_frame, split_frames
from workers.wire.types import DropReason, Malformed


def test_a_frame_is_a_length_and_a_datagram() -> None:
    assert encode_frame(b"abc") == b"\x00\x03abc"
    assert encode_frame(memoryview(b"abc")) == b"\x00\x03abc"
    assert encode_frame(b"") == b"\x00\x00"


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 9), min_size=1))
def test_datagrams_survive_any_cutting(datagrams: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(datagram) for datagram in datagrams)
    came: list[bytes] = []
    rest, at, turn = b"", 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        some, rest = split_frames(rest + stream[at : at + size], 40)
        came += some
        assert len(rest) < 42
        at, turn = at + size, turn + 1
    assert came == datagrams
    assert rest == b""


def test_a_frame_that_is_too_long_is_found_before_it_has_come() -> None:
    with pytest.raises(Malformed) as refused:
        split_frames(b"\x08\x01", 2048)
    assert refused.value.reason is DropReason.OVERSIZE
    assert split_frames(b"\x08\x00", 2048) == ([], b"\x08\x00")


@given(st.binary(max_size=300))
def test_any_bytes_end_in_datagrams_or_in_malformed(stream: bytes) -> None:
    try:
        datagrams, rest = split_frames(stream, 64)
    except Malformed:
        return
    assert b"".join(map(encode_frame, datagrams)) + rest == stream
