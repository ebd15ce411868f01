"""Cutting and mending sound by its period, heard as a machine hears: by clicks and by spectrum."""

from __future__ import annotations

from array import array
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sound import frames, loudness, roughness, strength, tone
from workers.transceiver.audio.waveform import PATIENCE, Concealer, Elastic, fade, find_period


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("frequency", [110, 205, 320])
def test_the_period_of_a_tone_is_found(rate: int, frequency: int) -> None:
    sound = array("h", tone(rate, 0.04, frequency))
    period, likeness = find_period(sound, rate, len(sound) // 2)
    turns = period * frequency / rate
    assert likeness > 0.9
    assert turns == pytest.approx(round(turns), abs=0.12)
    assert turns > 0.5


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("longer", [True, False])
def test_a_voice_is_stretched_and_squeezed_without_a_click(rate: int, longer: bool) -> None:
    elastic = Elastic(rate)
    whole = frames(tone(rate, 1.0, 220), rate)
    # Now and then: each cut is at a whole sample, so many in a row detune a tone a little.
    out = b"".join(pcm if n % 3 else elastic.adjust(pcm, longer) for n, pcm in enumerate(whole))
    ratio = len(out) / (2 * rate)
    assert ratio > 1.06 if longer else ratio < 0.94
    assert strength(out, rate, 220) > 0.95
    assert roughness(out) <= 1.5 * roughness(whole[0])


def test_what_has_no_period_waits_a_while_for_something_better() -> None:
    random = Random(1)
    elastic = Elastic(16_000)
    noise = array("h", [random.randint(-8000, 8000) for _ in range(320)]).tobytes()
    lengths = [len(elastic.adjust(noise, longer=False)) for _ in range(PATIENCE + 1)]
    assert lengths[:-1] == [640] * PATIENCE
    assert lengths[-1] < 640


def test_what_is_quiet_is_cut_at_once() -> None:
    random = Random(1)
    noise = array("h", [random.randint(-60, 60) for _ in range(320)]).tobytes()
    assert len(Elastic(16_000).adjust(noise, longer=False)) < 640


def test_a_gap_is_mended() -> None:
    concealer = Concealer(8_000)
    whole = frames(tone(8_000, 0.4, 200), 8_000)
    out = b"".join(
        concealer.conceal(160) if n == 12 else concealer.heard(pcm) for n, pcm in enumerate(whole)
    )
    assert len(out) == len(whole) * 320
    assert strength(out, 8_000, 200) > 0.95
    assert roughness(out) <= 1.5 * roughness(whole[0])
    silenced = b"".join(bytes(320) if n == 12 else pcm for n, pcm in enumerate(whole))
    assert strength(out, 8_000, 200) > strength(silenced, 8_000, 200)


def test_a_long_gap_fades_into_silence() -> None:
    concealer = Concealer(8_000)
    concealer.heard(tone(8_000, 0.1, 200))
    levels = [loudness(concealer.conceal(160)) for _ in range(5)]
    assert levels[0] > 4000
    assert levels[0] > levels[1] > levels[2] > 0
    assert levels[3:] == [0, 0]


def test_a_gap_before_anything_is_silence() -> None:
    assert Concealer(8_000).conceal(160) == bytes(320)


@given(
    st.binary(max_size=2000).map(lambda raw: raw[: len(raw) & ~1]),
    st.sampled_from([8_000, 16_000, 24_000]),
    st.booleans(),
)
def test_any_sound_of_any_length_is_taken(pcm: bytes, rate: int, longer: bool) -> None:
    out = Elastic(rate).adjust(pcm, longer)
    assert len(out) % 2 == 0
    assert len(out) >= len(pcm) if longer else len(out) <= len(pcm)
    concealer = Concealer(rate)
    assert len(concealer.heard(pcm)) == len(pcm)
    assert len(concealer.conceal(77)) == 154
    assert len(concealer.heard(pcm)) == len(pcm)


def test_fading_goes_from_one_to_the_other() -> None:
    assert fade(array("h", [100] * 4), array("h", [200] * 4)).tolist() == [100, 125, 150, 175]
