"""Durations of Opus packets, by the table of RFC 6716."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.opus import MAX_DURATION, parse_opus_duration
from workers.wire.types import DropReason, Malformed


@pytest.mark.parametrize(
    ("config", "milliseconds"),
    [(0, 10), (1, 20), (2, 40), (3, 60), (9, 20), (11, 60), (12, 10), (13, 20), (15, 20), (16, 2.5),
     (17, 5), (18, 10), (19, 20), (28, 2.5), (31, 20)],
)  # fmt: skip
def test_one_frame_of_each_length(config: int, milliseconds: float) -> None:
    assert parse_opus_duration(bytes([config << 3])) == milliseconds * 48
    assert parse_opus_duration(bytes([config << 3 | 4, 7, 7])) == milliseconds * 48


def test_several_frames() -> None:
    assert parse_opus_duration(bytes([1 << 3 | 1])) == 2 * 960
    assert parse_opus_duration(bytes([1 << 3 | 2])) == 2 * 960
    assert parse_opus_duration(bytes([1 << 3 | 3, 6])) == MAX_DURATION
    assert parse_opus_duration(bytes([16 << 3 | 3, 0xC0 | 48])) == MAX_DURATION


@pytest.mark.parametrize("payload", [b"", bytes([3]), bytes([3, 0]), bytes([1 << 3 | 3, 7])])
def test_what_cannot_be_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        parse_opus_duration(payload)
    assert raised.value.reason is DropReason.MALFORMED_RTP


@given(st.binary(max_size=4))
def test_any_bytes_have_a_bounded_duration_or_are_malformed(payload: bytes) -> None:
    with suppress(Malformed):
        duration = parse_opus_duration(payload)
        assert 120 <= duration <= MAX_DURATION
        assert duration % 120 == 0
