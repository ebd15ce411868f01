"""What counts as lost, as a gap, as moved."""

from __future__ import annotations

import pytest

from bench.fault_figures import AFTER, fell_silent, gap, lost, moved
from bench.relay_clients import Trip


def every(seconds: float, start: float, end: float) -> list[float]:
    return [start + n * seconds for n in range(int((end - start) / seconds) + 1)]


def test_without_a_fault_the_gap_is_that_of_the_frames() -> None:
    assert gap(every(0.02, 0, 5), 2.0) == pytest.approx(0.02)


def test_a_gap_counts_whole_when_it_begins_before_the_fault_or_ends_after_the_window() -> None:
    assert gap([0.0, 1.9, 2.4, 2.42], 2.0) == pytest.approx(0.5)
    assert gap([1.99, 2.01, 2.0 + AFTER - 0.1, 9.0], 2.0) == pytest.approx(9 - 2 - AFTER + 0.1)


def test_gaps_before_and_long_after_are_not_its_doing() -> None:
    times = [0.0, 1.0, *every(0.02, 1.02, 5.0), 8.0]
    assert gap(times, 2.0) == pytest.approx(0.02)


def test_who_never_hears_again_has_the_whole_window() -> None:
    assert gap([0.0, 0.02, 0.04], 2.0) == AFTER
    assert gap([], 2.0) == AFTER
    assert gap([1.0], 2.0, within=4.0) == 4.0


def test_flows_are_counted_once_however_they_moved() -> None:
    assert moved([500, 500], [500, 500]) == 0
    assert moved([500, 500], [480, 520]) == 20
    assert moved([400, 300, 300], [0, 500, 500]) == 400
    assert moved([500, 500], [400, 500]) == 0  # gone is not moved
    with pytest.raises(ValueError, match="shorter"):
        moved([1, 2], [1])


def test_lost_is_what_was_sent_and_did_not_come_back() -> None:
    assert lost(Trip(sent=100, received=98, p50=1.0, p99=2.0)) == 2


def test_a_call_is_lost_if_it_was_alive_and_is_not_any_more() -> None:
    alive = every(0.02, 0, 10)
    dead_before = every(0.02, 0, 4)
    dies = every(0.02, 0, 5.5)
    pauses = [*every(0.02, 0, 5.5), *every(0.02, 8, 10)]
    assert fell_silent([alive, dead_before, dies, pauses, []], 5.5, 10.0) == 1
