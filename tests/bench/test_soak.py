from __future__ import annotations

import pytest

from bench.soak import ROLES, Look, figures, heard, slope


def a_look(at: float, megabytes: float) -> Look:
    return Look(
        at,
        dict.fromkeys(ROLES, int(megabytes * 1e6)),
        dict.fromkeys(ROLES, 20),
        flows=int(at),
        sessions=5,
    )


def test_a_slope_is_by_the_hour() -> None:
    assert slope([(0.0, 1.0), (1800.0, 2.0), (3600.0, 3.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 1.0), (1.0, 9.0)]) == 0.0


def test_growth_at_first_is_no_slope() -> None:
    looks = [a_look(float(at), min(at, 10)) for at in range(40)]
    found = figures(looks)
    assert found["relay_mb"] == 10.0
    assert found["relay_mb_per_hour"] == 0.0
    assert found["transceiver_descriptors"] == 20
    assert (found["flows_max"], found["sessions_max"]) == (39, 5)


def test_growth_that_goes_on_is() -> None:
    looks = [a_look(float(at), 50 + at / 36) for at in range(40)]
    assert figures(looks)["signaling_mb_per_hour"] == pytest.approx(100.0, rel=0.01)


def test_what_the_callers_say_is_added_up() -> None:
    report = {
        "sessions_ok": 9,
        "sessions_failed": 1,
        "packets_sent": 100,
        "packets_lost": 2,
        "messages_lost": 0,
        "jitter_p99_ms": 1.5,
        "rtt_p99_ms": None,
        "tick_late_max_ms": 3.0,
    }
    assert heard([report, report | {"jitter_p99_ms": 2.5}]) == {
        "calls": 20,
        "calls_failed": 2,
        "packets": 200,
        "packets_lost": 4,
        "messages_lost": 0,
        "jitter_p99_ms": 2.5,
        "rtt_p99_ms": 0.0,
        "caller_late_max_ms": 3.0,
    }
