"""Two deadlines, of which one moves."""

from __future__ import annotations

import pytest

from ipc.messages.sessions import CloseReason
from workers.transceiver.core.limits import Limits


def begun(max_duration: float, idle_timeout: float, *, warned: bool = True) -> Limits:
    limits = Limits(max_duration, idle_timeout)
    limits.begin(100.0)
    if warned:
        limits.warn(1e9)
    return limits


def test_nothing_counts_before_the_session_is_connected() -> None:
    limits = Limits(1.0, 1.0)
    assert limits.next_timeout() is None
    assert limits.reached(1e9) is None


def test_zero_is_for_ever() -> None:
    limits = begun(0.0, 0.0)
    assert limits.next_timeout() is None
    assert limits.reached(1e9) is None


@pytest.mark.parametrize(
    ("max_duration", "idle_timeout", "due", "reason"),
    [
        (60.0, 0.0, 160.0, CloseReason.MAX_DURATION),
        (0.0, 30.0, 130.0, CloseReason.IDLE),
        (60.0, 30.0, 130.0, CloseReason.IDLE),
        (20.0, 30.0, 120.0, CloseReason.MAX_DURATION),
        (30.0, 30.0, 130.0, CloseReason.MAX_DURATION),
    ],
)
def test_the_first_deadline_counts(
    max_duration: float, idle_timeout: float, due: float, reason: CloseReason
) -> None:
    limits = begun(max_duration, idle_timeout)
    assert limits.next_timeout() == due
    assert limits.reached(due - 0.001) is None
    assert limits.reached(due) is reason


def test_what_goes_by_moves_the_idle_deadline_and_only_that() -> None:
    limits = begun(60.0, 30.0)
    limits.seen(120.0)
    limits.seen(110.0)
    assert limits.next_timeout() == 150.0
    limits.seen(150.0)
    assert limits.next_timeout() == 160.0
    assert limits.reached(160.0) is CloseReason.MAX_DURATION


def test_one_is_warned_once_before_the_end() -> None:
    limits = begun(60.0, 0.0, warned=False)
    assert limits.next_timeout() == 130.0
    assert limits.warn(129.0) is None
    assert limits.warn(131.0) == 29.0
    assert limits.warn(140.0) is None
    assert limits.next_timeout() == 160.0


def test_a_short_session_is_warned_at_half_time() -> None:
    assert begun(20.0, 0.0, warned=False).warn(110.0) == 10.0
    assert begun(0.0, 20.0, warned=False).warn(1e9) is None


def test_what_is_left() -> None:
    assert Limits(60.0, 10.0).left(1e9) == (None, None)
    assert begun(0.0, 0.0).left(130.0) == (None, None)
    limits = begun(60.0, 10.0)
    limits.seen(125.0)
    assert limits.left(130.0) == (30.0, 5.0)
