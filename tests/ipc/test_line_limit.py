"""A flood of one event leaves a line that says how many were left out, and other events alone."""

from __future__ import annotations

from ipc.line_limit import EVENTS, LineLimit


def test_what_is_left_out_is_said_later() -> None:
    limit = LineLimit(most=3)
    assert [limit.admit("x", 0.1 * n) for n in range(6)] == [0, 0, 0, None, None, None]
    assert limit.admit("y", 0.7) == 0
    assert limit.admit("x", 1.1) == 3
    assert limit.admit("x", 1.2) == 0


def test_it_is_bounded_whatever_the_events() -> None:
    limit = LineLimit(most=1)
    for n in range(3 * EVENTS):
        assert limit.admit(f"event {n}", 0.0) == 0
