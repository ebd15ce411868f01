"""The pace of turns: no rest for what comes singly, and never a long one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.pace import COMPANY, FEW, LONGEST, SHORTEST, Pace


def settled(rate: float, *, urgent: bool = False) -> float:
    """The rest after a second of events at that rate, as its turns would bring them."""
    pace, now, rest = Pace(0.0), 0.0, 0.0
    while now < 1.0:
        step = rest or 1 / rate
        now += step
        rest = pace.rest(round(rate * step), now, urgent=urgent)
    return rest


@pytest.mark.parametrize(
    ("rate", "rest"),
    [
        (50, 0.0),
        (FEW / LONGEST / 2, 0.0),
        (FEW / LONGEST * 2, LONGEST),
        (COMPANY / LONGEST, LONGEST),
        (16_000, COMPANY / 16_000),
        (COMPANY / SHORTEST * 4, SHORTEST),
    ],
)
def test_the_denser_they_come_the_shorter_is_the_rest(rate: float, rest: float) -> None:
    assert settled(rate) == pytest.approx(rest, rel=0.1)


def test_what_others_wait_for_shortens_it() -> None:
    assert settled(5_000, urgent=True) == SHORTEST
    assert settled(50, urgent=True) == 0.0


def test_a_burst_is_forgotten() -> None:
    pace = Pace(0.0)
    assert pace.rest(200, 0.01, urgent=False) > 0
    assert pace.rest(1, 1.0, urgent=False) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 10), st.booleans())))
def test_it_is_none_or_within_its_bounds(turns: list[tuple[int, float, bool]]) -> None:
    pace, now = Pace(0.0), 0.0
    for served, passed, urgent in turns:
        now += passed
        rest = pace.rest(served, now, urgent=urgent)
        assert rest == 0.0 or SHORTEST <= rest <= LONGEST
