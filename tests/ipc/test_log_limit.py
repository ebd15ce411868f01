"""A burst is logged, the rest counted, and said once when its window is over."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ipc.log_limit import KINDS, WINDOW, RateLimit


def test_a_burst_is_admitted_and_no_more_until_the_window_is_over() -> None:
    limit = RateLimit()
    answers = [limit.admit("flood", 3, 0.1 * turn) for turn in range(10)]
    assert answers == [{}] * 3 + [None] * 7
    assert limit.admit("flood", 3, WINDOW) == {"flood": 7}
    assert limit.admit("flood", 3, WINDOW) == {}


def test_another_kind_has_its_own_burst_and_says_what_was_left_out() -> None:
    limit = RateLimit()
    for _ in range(5):
        limit.admit("flood", 1, 0.0)
    assert limit.admit("other", 1, 1.0) == {}, "the window of the flood is not over"
    assert limit.admit("other", 1, 1.0) is None
    assert limit.admit("third", 1, WINDOW + 1) == {"flood": 4, "other": 1}


def test_kinds_beyond_all_measure_share_an_account() -> None:
    limit = RateLimit()
    admitted = [limit.admit(f"kind {number}", 1, 0.0) is not None for number in range(2 * KINDS)]
    assert sum(admitted) == KINDS + 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=200))
def test_every_line_is_logged_or_left_out_and_none_is_told_twice(
    lines: list[tuple[str, float]],
) -> None:
    limit, now = RateLimit(), 0.0
    logged: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for kind, later in lines:
        now += later
        if (left_out := limit.admit(kind, 2, now)) is not None:
            logged[kind] += 1
            told += Counter(left_out)
    told += Counter(limit.admit("last", 1, now + 2 * WINDOW))
    assert logged + told == Counter(kind for kind, _ in lines)
