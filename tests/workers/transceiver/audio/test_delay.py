"""The estimate of lateness: percentile, jitter, forgetting, and clocks that are set."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio.delay import (
    FIRST_TARGET,
    MAX_SAMPLES,
    MAX_TARGET,
    STEP,
    DelayEstimate,
)


def feed(estimate: DelayEstimate, lateness: list[float], start: float = 50.0) -> float:
    """One packet each 20 ms, each so late; the time after them."""
    for n, late in enumerate(lateness):
        sent = start + n * 0.02
        estimate.arrive(round(sent * 48_000), sent + late)
    return start + len(lateness) * 0.02


def test_at_first_one_frame() -> None:
    estimate = DelayEstimate(48_000)
    assert estimate.target == FIRST_TARGET
    feed(estimate, [0.0] * 10)
    assert estimate.target == FIRST_TARGET


def test_three_in_a_hundred_may_be_late() -> None:
    estimate = DelayEstimate(48_000)
    feed(estimate, ([0.0] * 97 + [0.3] * 3) * 4)
    assert estimate.target < 0.3
    feed(estimate := DelayEstimate(48_000), ([0.0] * 96 + [0.3] * 4) * 4)
    assert estimate.target == pytest.approx(0.3, abs=2 * STEP)


def test_what_happened_ten_seconds_ago_is_forgotten() -> None:
    estimate = DelayEstimate(48_000)
    now = feed(estimate, [0.0, 0.1] * 50)
    assert estimate.target == pytest.approx(0.3, abs=0.02)  # three jitters
    now = feed(estimate, [0.0] * 400, now)
    assert estimate.target == pytest.approx(0.1, abs=2 * STEP)
    feed(estimate, [0.0] * 200, now)
    assert estimate.target <= 2 * STEP


def test_a_longer_way_is_a_new_beginning_in_the_end() -> None:
    estimate = DelayEstimate(48_000)
    now = feed(estimate, [0.0] * 600)
    now = feed(estimate, [0.15] * 600, now)
    assert estimate.target <= 2 * STEP
    assert estimate.lateness(round(now * 48_000), now + 0.15) == pytest.approx(0, abs=2 * STEP)


@pytest.mark.parametrize("jump", [-3600.0, -2.5, 2.5, 3600.0])
def test_a_clock_that_is_set_begins_anew(jump: float) -> None:
    estimate = DelayEstimate(48_000)
    now = feed(estimate, [0.0] * 100)
    assert not estimate.arrive(round((now + jump) * 48_000), now)
    assert estimate.jumps == 1
    assert estimate.jitter < 0.001
    assert 0 <= estimate.lateness(round((now + jump) * 48_000), now) <= STEP


def test_jitter_is_that_of_the_standard() -> None:
    random = Random(3)
    late = [random.uniform(0, 0.06) for _ in range(500)]
    expected = 0.0
    for before, after in pairwise(late):
        expected += (abs(after - before) - expected) / 16
    estimate = DelayEstimate(48_000)
    feed(estimate, late)
    assert estimate.jitter == pytest.approx(expected, rel=0.01)


@given(
    st.lists(
        st.tuples(st.integers(-(1 << 33), 1 << 33), st.floats(0, 100)), min_size=1, max_size=50
    ),
    st.sampled_from([8000, 48_000]),
)
def test_anything_gives_a_bounded_target(packets: list[tuple[int, float]], clock: int) -> None:
    estimate = DelayEstimate(clock)
    now = 0.0
    for timestamp, pause in packets:
        now += pause
        estimate.arrive(timestamp, now)
        assert 0 < estimate.target <= MAX_TARGET
        assert sum(estimate._counts.values()) == len(estimate._samples) <= MAX_SAMPLES
        assert estimate._lowest == min(estimate._counts)
        assert estimate.lateness(timestamp, now) >= 0
