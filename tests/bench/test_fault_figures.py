"""What counts as lost, as a gap, as moved."""

from __future__ import annotations

from typing import Any

import pytest

from bench.fault_figures import (
    AFTER,
    SETTLED,
    Fault,
    fell_silent,
    fields_of,
    gap,
    lost,
    missing,
    moved,
)
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


def test_frames_that_never_came_back_are_counted_around_the_fault() -> None:
    times = [0.0, 1.0, 1.98, 2.10, 2.12, 9.0, 9.02]
    numbers = [0, 10, 11, 17, 18, 20, 30]
    assert missing(times, numbers, 2.0) == 5 + 1
    assert missing(times, numbers, 2.2, within=6.0) == 1
    assert missing(times, numbers, 9.01) == 9
    assert missing([], [], 2.0) == 0


def test_what_was_overtaken_is_not_missing() -> None:
    assert missing([2.0, 2.04, 2.05, 2.06], [1, 3, 2, 4], 1.9) == 0


def heard(**calls: list[tuple[float, int]]) -> dict[str, Any]:
    """By session: when each frame came, and its number."""
    return {
        "sessions": list(calls),
        "arrivals": [[time for time, _ in call] for call in calls.values()],
        "numbers": [[number for _, number in call] for call in calls.values()],
    }


def call(start: float, end: float, *, but: range = range(0)) -> list[tuple[float, int]]:
    """A frame every 20 ms, except those numbers."""
    frames = range(round(start / 0.02), round(end / 0.02))
    return [(number * 0.02, number) for number in frames if number not in but]


FAULT = Fault("relay", 10.01, 10.2, frozenset({"spared"}))


def test_a_fault_that_cost_nothing() -> None:
    assert fields_of(FAULT, heard(a=call(0, 20), b=call(0, 20))) == {
        "relay_calls": 2,
        "relay_sessions_lost": 0,
        "relay_datagrams_lost": 0,
        "relay_gap_ms": 20.0,
        "relay_whole_ms": 190,
    }


def test_what_a_fault_cost() -> None:
    found = fields_of(
        FAULT,
        heard(
            hit=call(0, 20, but=range(501, 511)),
            ended=call(0, 10),
            spared=call(0, 10),
            over_before=call(0, 5),
            later=call(0, 20, but=range(800, 810)),
        ),
    )
    assert found["relay_calls"] == 3
    assert found["relay_sessions_lost"] == 1
    assert found["relay_datagrams_lost"] == 10
    assert found["relay_gap_ms"] == pytest.approx(1000 * (0.19 + SETTLED))


def test_nobody_talked() -> None:
    assert fields_of(FAULT, heard())["relay_gap_ms"] == 0.0
