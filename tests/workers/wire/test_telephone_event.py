"""Telephone events, four bytes each."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.telephone_event import (
    DIGITS,
    TelephoneEvent,
    encode_telephone_event,
    parse_telephone_event,
)
from workers.wire.types import DropReason, Malformed

EVENTS = st.builds(
    TelephoneEvent, st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 0xFFFF)
)


def test_bytes_of_the_standard() -> None:
    # RFC 4733, 2.3: event 11 is `#`; end, 10 dBm0 below, 800 at 8 kHz is 100 ms.
    assert encode_telephone_event(TelephoneEvent(11, True, 10, 800)) == bytes.fromhex("0b8a0320")
    assert DIGITS[11] == "#"
    assert len(DIGITS) == 16


@given(EVENTS, st.binary(max_size=8))
def test_what_is_encoded_is_read(event: TelephoneEvent, more: bytes) -> None:
    assert parse_telephone_event(encode_telephone_event(event) + more) == event


def test_the_reserved_bit_is_ignored() -> None:
    assert parse_telephone_event(b"\x01\x4a\x00\x50") == TelephoneEvent(1, False, 10, 80)


@pytest.mark.parametrize("length", range(4))
def test_a_short_one_is_malformed(length: int) -> None:
    with pytest.raises(Malformed) as raised:
        parse_telephone_event(bytes(length))
    assert raised.value.reason is DropReason.MALFORMED_RTP


@given(st.binary(max_size=64))
def test_any_bytes_are_an_event_or_malformed(payload: bytes) -> None:
    with suppress(Malformed):
        parse_telephone_event(payload)
