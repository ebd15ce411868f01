from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from workers.caller.histogram import Histogram

durations = st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile(50) is None


@given(durations, st.floats(0, 100))
def test_percentiles_are_within_one_percent(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    measured = filled(values).percentile(percent)
    assert measured is not None
    assert abs(measured - exact) <= 0.0101 * exact


@given(durations, durations)
def test_merging_is_counting_together(a: list[float], b: list[float]) -> None:
    merged, together = filled(a), filled(a + b)
    merged.merge(filled(b))
    assert merged.count == together.count
    assert (merged.minimum, merged.maximum) == (together.minimum, together.maximum)
    assert merged.percentile(50) == together.percentile(50)


def test_a_clock_that_steps_back_does_no_harm() -> None:
    assert filled([-5.0]).percentile(50) == 1e-6
