"""Signaling outlasts the last drained session by a moment, and only that."""

from __future__ import annotations

from appliance.supervisor.core.linger import LINGER, Linger
from appliance.supervisor.core.plan import Stage


def test_a_moment_for_those_who_hang_up() -> None:
    linger = Linger()
    linger.drained = True
    assert linger.holds(Stage.DRAIN_SIGNALING, 10.0)
    assert linger.until == 10.0 + LINGER
    assert linger.holds(Stage.DRAIN_SIGNALING, 10.5)
    assert not linger.holds(Stage.DRAIN_SIGNALING, 10.0 + LINGER)
    assert linger.until is None


def test_nobody_hangs_up_what_there_never_was() -> None:
    assert not Linger().holds(Stage.DRAIN_SIGNALING, 1.0)


def test_a_stop_does_not_wait() -> None:
    linger = Linger()
    linger.drained = True
    linger.holds(Stage.DRAIN_SIGNALING, 1.0)
    assert not linger.holds(Stage.STOP_ALL, 1.1)
    assert linger.until is None


def test_a_drain_has_so_much_time_for_everything() -> None:
    linger = Linger()
    assert linger.left(5.0) == 0.0
    linger.begin(30.0)
    assert (linger.left(10.0), linger.left(31.0)) == (20.0, 0.0)
