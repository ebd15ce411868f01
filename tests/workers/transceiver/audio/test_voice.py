"""Voice activity: beginnings and ends of what sounds like speech, and of nothing else."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.backend.vad import Vad
from workers.transceiver.audio.voice import Voice


def voiced(rate: int, milliseconds: int) -> list[bytes]:
    """A buzz with formants that moves like a vowel: what the detector takes for speech."""
    samples = array("h")
    for n in range(rate * milliseconds // 1000):
        t = n / rate
        buzz = sum(math.sin(2 * math.pi * 140 * k * t) / k for k in range(1, 20))
        samples.append(int(5000 * buzz * (0.6 + 0.4 * math.sin(2 * math.pi * 4 * t))))
    return cut(samples, rate)


def silence(rate: int, milliseconds: int) -> list[bytes]:
    noise = random.Random(1)
    count = rate * milliseconds // 1000
    return cut(array("h", [noise.randint(-3, 3) for _ in range(count)]), rate)


def cut(samples: array[int], rate: int) -> list[bytes]:
    step = rate // 50
    return [samples[at : at + step].tobytes() for at in range(0, len(samples), step)]


def changes(voice: Voice, frames: list[bytes]) -> list[tuple[bool, int]]:
    return [change for n, pcm in enumerate(frames) for change in voice.handle(pcm, 20 * n)]


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_a_word_begins_and_ends(rate: int) -> None:
    frames = silence(rate, 1000) + voiced(rate, 600) + silence(rate, 1500)
    (begins, began), (ends, ended) = changes(Voice(rate), frames)
    assert (begins, ends) == (True, False)
    assert 600 <= began <= 800, "300 ms before the first sound, and a little late"
    assert 2000 <= ended <= 2400, "500 ms after the last"


def test_a_pause_within_a_sentence_is_none() -> None:
    rate = 16_000
    frames = voiced(rate, 500) + silence(rate, 200) + voiced(rate, 500) + silence(rate, 1000)
    assert [active for active, _ in changes(Voice(rate), frames)] == [True, False]


def test_less_patience_hears_two_words() -> None:
    rate = 16_000
    frames = voiced(rate, 500) + silence(rate, 600) + voiced(rate, 500) + silence(rate, 600)
    found = changes(Voice(rate, Vad(silence=200)), frames)
    assert [active for active, _ in found] == [True, False, True, False]
    assert found[2][1] >= found[1][1], "the prefix does not reach into the word before"


def test_silence_is_nothing() -> None:
    assert changes(Voice(16_000), silence(16_000, 2000)) == []
    assert changes(Voice(16_000), [bytes(640)] * 100) == []


@given(st.lists(st.binary(min_size=640, max_size=640), max_size=60), st.floats(0, 1))
def test_any_sound_gives_beginnings_and_ends_in_turn(frames: list[bytes], threshold: float) -> None:
    found = changes(Voice(16_000, Vad(threshold)), frames)
    assert [active for active, _ in found] == [n % 2 == 0 for n in range(len(found))]
    assert [when for _, when in found] == sorted(when for _, when in found)
