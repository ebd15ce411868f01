"""G.711 against its own definition, and against Python's old audioop where that still exists."""

from __future__ import annotations

import warnings
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.companding import SILENCE, Law

EVERY_SAMPLE = array("h", range(-32_768, 32_768)).tobytes()
EVERY_CODE = bytes(range(256))
SAMPLES = st.integers(-32_768, 32_767)
LAWS = {name: Law(name) for name in ("pcmu", "pcma")}


def samples(pcm: bytes) -> array[int]:
    return array("h", pcm)


@pytest.mark.parametrize("name", LAWS)
def test_the_same_as_audioop(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")  # gone in Python 3.13
    compress, expand = (
        (audioop.lin2ulaw, audioop.ulaw2lin)
        if name == "pcmu"
        else (audioop.lin2alaw, audioop.alaw2lin)
    )
    assert Law(name).compress(EVERY_SAMPLE) == compress(EVERY_SAMPLE, 2)
    assert Law(name).expand(EVERY_CODE) == expand(EVERY_CODE, 2)


@pytest.mark.parametrize(
    ("name", "pairs"),
    # ITU-T G.711, tables 1 and 2, scaled to 16 bits: the loudest and the quietest of both signs.
    [
        ("pcmu", {0x00: -32_124, 0x80: 32_124, 0xFF: 0, 0x7F: 0, 0xFE: 8, 0x7E: -8}),
        ("pcma", {0x2A: -32_256, 0xAA: 32_256, 0xD5: 8, 0x55: -8, 0xD4: 24}),
    ],
)
def test_values_of_the_standard(name: str, pairs: dict[int, int]) -> None:
    assert list(samples(Law(name).expand(bytes(pairs)))) == list(pairs.values())


@pytest.mark.parametrize("name", LAWS)
def test_a_code_comes_back_as_itself(name: str) -> None:
    law = LAWS[name]
    again = law.expand(law.compress(law.expand(EVERY_CODE)))
    assert again == law.expand(EVERY_CODE)


@pytest.mark.parametrize("name", LAWS)
def test_the_error_is_a_small_share_of_the_sample(name: str) -> None:
    law = Law(name)
    for was, came in zip(
        samples(EVERY_SAMPLE), samples(law.expand(law.compress(EVERY_SAMPLE))), strict=True
    ):
        assert abs(was - came) <= max(abs(was) * 0.05, 24)


@given(st.binary(max_size=400), st.sampled_from([*LAWS]))
def test_any_bytes_are_sound(payload: bytes, name: str) -> None:
    pcm = LAWS[name].expand(payload)
    assert len(pcm) == 2 * len(payload)
    assert len(LAWS[name].compress(pcm)) == len(payload)


def compressed(*values: int) -> bytes:
    return LAWS["pcmu"].compress(array("h", values).tobytes())


def test_known_codes() -> None:
    assert compressed(0) == bytes((SILENCE,))
    assert compressed(32767, -32768) == b"\x80\x00"
    assert list(samples(LAWS["pcmu"].expand(b"\x80\x00\xff\x7f"))) == [32124, -32124, 0, 0]


def test_every_code_but_negative_zero_survives_a_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert LAWS["pcmu"].compress(LAWS["pcmu"].expand(codes)) == codes


@given(SAMPLES)
def test_error_is_within_half_a_step(sample: int) -> None:
    (decoded,) = samples(LAWS["pcmu"].expand(compressed(sample)))
    assert abs(decoded - sample) <= (abs(sample) + 132) / 32 + 4 + 650 * (abs(sample) > 32000)


@given(SAMPLES, SAMPLES)
def test_order_is_kept(a: int, b: int) -> None:
    low, high = samples(LAWS["pcmu"].expand(compressed(*sorted((a, b)))))
    assert low <= high
