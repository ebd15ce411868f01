"""Acknowledgements of DTLS datagrams in checks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.sped import MAX_ACKS, datagram_id, encode_acks, parse_acks
from workers.wire.types import DropReason, Malformed


def test_the_id_is_the_checksum_of_zip_and_ethernet() -> None:
    assert datagram_id(b"123456789") == 0xCBF43926


def test_an_empty_list_says_that_nothing_came() -> None:
    assert encode_acks(()) == b""
    assert parse_acks(b"") == ()


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=MAX_ACKS))
def test_what_goes_comes_back(ids: list[int]) -> None:
    assert list(parse_acks(encode_acks(ids))) == ids


@given(st.binary(max_size=64))
def test_any_bytes_are_ids_or_malformed(value: bytes) -> None:
    if len(value) % 4 == 0 and len(value) <= 16:
        assert encode_acks(parse_acks(value)) == value
        return
    with pytest.raises(Malformed) as caught:
        parse_acks(value)
    assert caught.value.reason is DropReason.MALFORMED_STUN
