from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from workers.caller.g711 import SILENCE, decode_ulaw, encode_ulaw

samples = st.integers(-32768, 32767)


def test_known_codes() -> None:
    assert encode_ulaw(array("h", [0])) == bytes((SILENCE,))
    assert encode_ulaw(array("h", [32767, -32768])) == b"\x80\x00"
    assert list(decode_ulaw(b"\x80\x00\xff\x7f")) == [32124, -32124, 0, 0]


def test_every_code_but_negative_zero_survives_a_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert encode_ulaw(decode_ulaw(codes)) == codes


@given(samples)
def test_error_is_within_half_a_step(sample: int) -> None:
    (decoded,) = decode_ulaw(encode_ulaw(array("h", [sample])))
    assert abs(decoded - sample) <= (abs(sample) + 132) / 32 + 4 + 650 * (abs(sample) > 32000)


@given(samples, samples)
def test_order_is_kept(a: int, b: int) -> None:
    low, high = decode_ulaw(encode_ulaw(array("h", sorted((a, b)))))
    assert low <= high
