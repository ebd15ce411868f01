"""What RTCP says of all sessions, added up: it only grows, and a liar cannot make it run away."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages.stats import JITTER_BOUNDS, ROUND_TRIP_BOUNDS, QualityStats
from workers.transceiver.core.quality import MOST, Loss, Quality, Spread
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.streams.interface import StreamStats

numbers = st.integers(-(2**23), 2**23)
times = st.floats(-1.0, 1e6)


def test_a_value_at_a_bound_is_below_it() -> None:
    spread = Spread((0.1, 0.2))
    for value in (0.0, 0.1, 0.100001, 0.2, 0.3, -5.0):
        spread.add(value)
    taken = spread.taken()
    assert taken.counts == (3, 2, 1)
    assert taken.sum == pytest.approx(0.700001)


def test_both_directions_are_counted() -> None:
    quality, loss = Quality(), Loss()
    heard = StreamStats(packets_in=100, lost=3, jitter=0.004, packets_out=90)
    quality.measured(loss, heard)
    quality.reported(loss, Reported(0.1, 7, 0.02, 5.0), 0.08, heard)
    quality.measured(loss, StreamStats(packets_in=200, lost=5, jitter=0.004))
    taken = quality.taken()
    assert (taken.lost_in, taken.lost_out) == (5, 7)
    assert sum(taken.jitter_in.counts) == 2
    assert taken.jitter_out.counts[JITTER_BOUNDS.index(0.02)] == 1
    assert taken.round_trip.counts[ROUND_TRIP_BOUNDS.index(0.1)] == 1
    assert taken.round_trip.sum == pytest.approx(0.08)


def test_a_stream_of_which_nothing_came_says_nothing() -> None:
    quality = Quality()
    quality.measured(Loss(), StreamStats())
    assert quality.taken() == Quality().taken()


@given(st.lists(st.tuples(numbers, numbers, times, times, st.integers(0, 10_000))))
def test_it_only_grows_and_not_beyond_what_was_sent(
    said: list[tuple[int, int, float, float, int]],
) -> None:
    quality, loss = Quality(), Loss()
    before, sent = quality.taken(), 0
    for lost_in, lost_out, jitter, trip, more in said:
        sent += more
        stats = StreamStats(packets_in=1, lost=lost_in, jitter=jitter, packets_out=sent)
        quality.measured(loss, stats)
        quality.reported(loss, Reported(0.0, lost_out, jitter, 0.0), trip, stats)
        after = quality.taken()
        for old, new in zip(figures(before), figures(after), strict=True):
            assert old <= new
        assert after.lost_out <= sent
        assert after.round_trip.sum <= MOST * sum(after.round_trip.counts)
        before = after


def figures(quality: QualityStats) -> list[float]:
    spreads = (quality.round_trip, quality.jitter_in, quality.jitter_out)
    return [quality.lost_in, quality.lost_out, *(n for s in spreads for n in (s.sum, *s.counts))]


def test_bounds_ascend() -> None:
    for bounds in (ROUND_TRIP_BOUNDS, JITTER_BOUNDS):
        assert all(a < b for a, b in pairwise(bounds))
