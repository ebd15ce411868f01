"""Checks that come again in the same words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core import checks
from workers.transceiver.core.generations import Generation
from workers.transceiver.core.interface import IceCredentials
from workers.transceiver.core.recurring import Recurring, recurring

OURS, THEIRS = IceCredentials("ours", "o" * 22), IceCredentials("them", "t" * 24)
GENERATION = Generation.of(0, OURS, THEIRS)
KEY = GENERATION.local_key
FIRST, OTHER = bytes(range(12)), bytes(range(100, 112))
ADDRESSES = [("192.0.2.77", 50_000), ("2001:db8::77", 50_000)]
ASKED: dict[str, object] = {
    "USERNAME": "ours:them",
    "PRIORITY": 7,
    "ICE-CONTROLLING": 9,
    "USE-CANDIDATE": None,
}


def request(transaction: bytes, key: bytes = KEY, **changed: object) -> bytes:
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return checks.encode_request(transaction, ASKED | named, key)


def known(address: tuple[str, int] = ADDRESSES[0]) -> Recurring:
    answer = checks.encode_success(FIRST, address, KEY)
    made = recurring(request(FIRST), answer, GENERATION, nominates=True)
    assert made is not None
    return made


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_same_words_with_another_transaction_have_the_same_answer(
    address: tuple[str, int],
) -> None:
    again = request(OTHER)
    assert known(address).is_said_by(again)
    assert known(address).answer(again) == checks.encode_success(OTHER, address, KEY)


@pytest.mark.parametrize(
    "other",
    [
        request(OTHER, b"another password"),
        request(OTHER, PRIORITY=8),
        request(OTHER, USERNAME="ours:thex"),
        request(OTHER)[:-8],
        checks.encode_success(OTHER, ADDRESSES[0], KEY),
        b"",
        bytes(20),
    ],
)
def test_other_words_are_not_taken_for_them(other: bytes) -> None:
    assert not known().is_said_by(other)


@given(st.integers(0, len(request(OTHER)) * 8 - 1))
def test_not_a_bit_may_differ(bit: int) -> None:
    damaged = bytearray(request(OTHER))
    damaged[bit // 8] ^= 1 << bit % 8
    assert not known().is_said_by(bytes(damaged))


@given(st.binary(max_size=120))
def test_anything_may_come(datagram: bytes) -> None:
    assert not known().is_said_by(datagram)


@pytest.mark.parametrize("length", [0, 19, 20, 51, 52, -8])
def test_what_does_not_end_in_the_two_is_not_kept(length: int) -> None:
    answer = checks.encode_success(FIRST, ADDRESSES[0], KEY)
    assert recurring(request(FIRST)[:length], answer, GENERATION, nominates=False) is None
