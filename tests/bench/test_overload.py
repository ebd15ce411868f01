from __future__ import annotations

from bench.overload import figures, live


def test_refusals_are_counted_and_timed() -> None:
    answers = [(201, 0.010)] * 50 + [(503, 0.002)] * 150
    assert figures(answers, 10.0) == {
        "per_second": 20.0,
        "refused_share": 0.75,
        "refused_p99_ms": 2.0,
    }


def test_nothing_is_nothing() -> None:
    assert figures([], 1.0) == {"per_second": 0.0, "refused_share": None, "refused_p99_ms": None}
    assert figures([(201, 0.1)], 1.0)["refused_p99_ms"] is None


def test_what_live_calls_bear() -> None:
    report = {"packets_lost": 3, "packets_sent": 1000, "sessions_failed": 1}
    assert live(report) == {"live_loss": 0.003, "live_failed": 1}
