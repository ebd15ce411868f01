"""From 8 kHz and to it: the tone stays, the length is right, and what is missing is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sound import frames, loudness, strength, tone
from workers.transceiver.audio import resampler
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.audio.resampler import Resampler

UP = [(8_000, 16_000), (8_000, 24_000), (8_000, 48_000)]
RATES = UP + [(high, low) for low, high in UP]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_tone_stays_that_tone(rate_in: int, rate_out: int) -> None:
    one = Resampler(rate_in, rate_out)
    pieces = [one.resample(pcm) for pcm in frames(tone(rate_in, 1.0, 1000), rate_in)]
    assert {len(piece) for piece in pieces[1:]} == {rate_out // 50 * 2}
    settled = b"".join(pieces[5:])
    assert strength(settled, rate_out, 1000) > 0.999
    assert loudness(settled) == pytest.approx(10_000 / 2**0.5, rel=0.01)


def test_what_does_not_fit_into_8_khz_is_gone() -> None:
    one = Resampler(48_000, 8_000)
    out = b"".join(one.resample(pcm) for pcm in frames(tone(48_000, 1.0, 6_000), 48_000)[5:])
    assert loudness(out[4000:]) < 20


def test_without_it_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampler, "SONAME", "libspeexdsp-hidden.so.1")
    resampler.load.cache_clear()
    try:
        with pytest.raises(LibraryMissing, match="install libspeexdsp1"):
            Resampler(8_000, 16_000)
    finally:
        monkeypatch.undo()
        resampler.load.cache_clear()


@given(st.sampled_from(RATES), st.lists(st.integers(0, 960), max_size=8))
def test_any_lengths_come_out_whole(rates: tuple[int, int], lengths: list[int]) -> None:
    one = Resampler(*rates)
    out = sum(len(one.resample(bytes(2 * length))) // 2 for length in lengths)
    assert out == pytest.approx(sum(lengths) * rates[1] / rates[0], abs=12)


def test_more_than_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="at once"):
        Resampler(8_000, 48_000).resample(bytes(2 * 961))
