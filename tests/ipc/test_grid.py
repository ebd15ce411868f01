"""All processes meet at the same moments."""

from __future__ import annotations

import pytest

from ipc.grid import BEAT, QUIET, is_for_all, until_next


@pytest.mark.parametrize(("now", "left"), [(10.0, 1.0), (10.25, 0.75), (11.875, 0.125)])
def test_the_next_moment_is_a_multiple_and_never_this_one(now: float, left: float) -> None:
    assert until_next(now) == left
    assert (now + until_next(now)) % BEAT == 0


def test_who_begins_anywhere_meets_the_others_at_once() -> None:
    assert {now + until_next(now, QUIET) for now in (10.01, 11.0, 11.5, 11.99)} == {12.0}


def test_every_other_beat_is_for_all_though_one_comes_late() -> None:
    beats = [is_for_all(second + late) for second in range(10, 14) for late in (0.0, 0.3)]
    assert beats == [True, True, False, False] * 2
