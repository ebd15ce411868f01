"""Ufrags carry a route and nothing else, and only those with the key can make one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Epoch, Route, TransceiverId
from workers.wire.types import DropReason, Malformed
from workers.wire.ufrag import ALPHABET, UFRAG_LENGTH, UfragKeys

KEY_0 = bytes(range(16))
KEY_Z = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
BOTH = {"0": KEY_0, "z": KEY_Z}

u16 = st.integers(0, 0xFFFF)
routes = st.builds(Route, u16.map(ClusterId), u16.map(TransceiverId), u16.map(Epoch))


def route(cluster: int, transceiver: int, epoch: int) -> Route:
    return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))


# The published test vectors of docs/wire.md, section 1: key id, key, route, nonce, ufrag.
VECTORS = [
    ("0", KEY_0, route(0, 0, 0), "000000000000", "062oA96w6EwfVOyZRXSf3ij"),
    ("0", KEY_0, route(1, 2, 3), "0a0b0c0d0e0f", "05vPrIIf0f29C3rgbrunuCe"),
    ("z", KEY_Z, route(65535, 65535, 65535), "ffffffffffff", "z7gdCZdqkp0CHL6UCf81TP5"),
    ("z", KEY_Z, route(7, 300, 41), "deadbeef0001", "z3Fr0vTti7EQfwQ4Nr1VeR1"),
]


@pytest.mark.parametrize(("key_id", "key", "of", "nonce", "ufrag"), VECTORS)
def test_vectors(key_id: str, key: bytes, of: Route, nonce: str, ufrag: str) -> None:
    keys = UfragKeys({key_id: key}, key_id)
    assert keys.mint(of, bytes.fromhex(nonce)) == ufrag
    assert keys.decode(ufrag) == of


@given(of=routes, nonce=st.binary(min_size=6, max_size=6))
def test_round_trip(of: Route, nonce: bytes) -> None:
    keys = UfragKeys(BOTH, "z")
    ufrag = keys.mint(of, nonce)
    assert len(ufrag) == UFRAG_LENGTH
    assert set(ufrag) <= set(ALPHABET)
    assert keys.decode(ufrag) == of


@given(st.one_of(st.text(max_size=40), st.text(ALPHABET, min_size=23, max_size=23)))
def test_any_text_is_a_route_or_malformed(text: str) -> None:
    keys = UfragKeys(BOTH, "0")
    with suppress(Malformed):
        keys.decode(text)


def refusal(keys: UfragKeys, text: str) -> DropReason:
    with pytest.raises(Malformed) as caught:
        keys.decode(text)
    return caught.value.reason


def test_every_changed_character_is_noticed() -> None:
    keys = UfragKeys(BOTH, "0")
    ufrag = keys.mint(route(1, 2, 3), b"nonce!")
    for place in range(1, UFRAG_LENGTH):
        other = "A" if ufrag[place] != "A" else "B"
        changed = ufrag[:place] + other + ufrag[place + 1 :]
        assert refusal(keys, changed) is DropReason.FORGED_UFRAG


def test_a_ufrag_of_another_key_is_forged() -> None:
    ufrag = UfragKeys({"0": KEY_Z}, "0").mint(route(1, 2, 3), b"nonce!")
    assert refusal(UfragKeys({"0": KEY_0}, "0"), ufrag) is DropReason.FORGED_UFRAG


def test_an_unknown_key_id_says_so() -> None:
    ufrag = UfragKeys({"z": KEY_Z}, "z").mint(route(1, 2, 3), b"nonce!")
    assert refusal(UfragKeys({"0": KEY_0}, "0"), ufrag) is DropReason.UNKNOWN_KEY


def test_a_number_that_no_block_has_is_forged() -> None:
    keys = UfragKeys(BOTH, "0")
    assert refusal(keys, "0" + "z" * 22) is DropReason.FORGED_UFRAG
    # 2**128 itself, and then the contexts still decode what follows
    digits, number = "", 1 << 128
    while number:
        number, value = divmod(number, 62)
        digits = ALPHABET[value] + digits
    assert refusal(keys, "0" + digits.rjust(22, "0")) is DropReason.FORGED_UFRAG
    assert keys.decode(keys.mint(route(9, 9, 9), b"nonce!")) == route(9, 9, 9)


@pytest.mark.parametrize("text", ["", "0", "0" * 22, "0" * 24, "0" + "+" * 22, "0" + "é" * 22])
def test_wrong_length_or_alphabet_is_forged(text: str) -> None:
    assert refusal(UfragKeys(BOTH, "0"), text) is DropReason.FORGED_UFRAG


@pytest.mark.parametrize(
    ("keys", "mint_with"),
    [
        ({"0": KEY_0[:15]}, "0"),
        ({"0": KEY_0 + b"x"}, "0"),
        ({"+": KEY_0}, "+"),
        ({"": KEY_0}, ""),
        ({"00": KEY_0}, "00"),
        ({"0": KEY_0}, "1"),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, bytes], mint_with: str) -> None:
    with pytest.raises(ValueError, match="ufrag key"):
        UfragKeys(keys, mint_with)


@pytest.mark.parametrize("length", [0, 5, 7, 16])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="nonce"):
        UfragKeys(BOTH, "0").mint(route(1, 2, 3), bytes(length))
