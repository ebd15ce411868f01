"""The search for a capacity: where it begins, where it ends, and what counts as lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.transceiver_capacity import STEPS, Trial, first_step, kept_of, lost_of, search


def trial_of(most: int, tried: list[int], time_for: int = 99) -> Callable[[int], Trial]:
    def attempt(sessions: int) -> Trial:
        if len(tried) == time_for:
            raise TimeoutError
        tried.append(sessions)
        return Trial(sessions, 0.0 if sessions <= most else 0.01, 0.5, 0)

    return attempt


@pytest.mark.parametrize("first", [25, 200, 500, 2000])
@pytest.mark.parametrize("most", [30, 199, 350, 1100, 9999])
def test_it_finds_the_last_step_that_holds_from_wherever_it_begins(first: int, most: int) -> None:
    tried: list[int] = []
    best = search(first, trial_of(most, tried))
    assert best is not None
    assert best.sessions == max(step for step in STEPS if step <= most)
    assert len(tried) == len(set(tried))


def test_nothing_holds() -> None:
    assert search(50, trial_of(10, [])) is None


def test_when_its_time_is_over_what_held_so_far_counts() -> None:
    best = search(100, trial_of(9999, [], time_for=3))
    assert best is not None
    assert best.sessions == 200


def test_a_call_that_fails_is_no_call_held() -> None:
    assert not Trial(100, 0.0, 0.5, 1).held
    assert not Trial(100, 0.001, 0.5, 0).held
    assert Trial(100, 0.0009, 0.5, 0).held


def test_it_begins_where_there_is_room_left() -> None:
    assert first_step(40.0) == 300  # 500 would fill the CPU
    assert first_step(1000.0) == STEPS[0]
    assert first_step(0.0) == first_step(7.0) == 1000


def test_what_even_few_calls_miss_is_not_lost() -> None:
    few = {"packets_sent": 1000, "packets_received": 960, "sessions_ok": 10}
    kept = kept_of([few, few, {**few, "packets_received": 0}])
    assert kept == 4
    assert lost_of(few, kept) == 0
    assert lost_of({**few, "packets_received": 950}, kept) == 0.01
    assert lost_of(few, 0.0) == 0.04
    assert kept_of([{**few, "packets_received": 0}]) < 10  # that is no habit
