from __future__ import annotations

from bench.overload_stage import figures, live, share_lost, share_missing, share_refused


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


def test_what_is_lost_between_two_moments() -> None:
    times, numbers = [n * 0.02 for n in range(500)], [*range(500)]
    assert share_lost([times, times], [numbers, numbers], 1.0, 3.0) == 0
    half = [n for n in numbers if n < 75 or n >= 125]
    assert share_lost([times, [n * 0.02 for n in half]], [numbers, half], 1.0, 3.0) == 0.25
    late = [*times[:-1], 99.0]  # what comes later is not this time's
    assert share_lost([late], [numbers], 1.0, 3.0) == 0
    assert share_lost([[]], [[]], 1.0, 3.0) == 1


def test_what_did_not_come_when_it_was_due() -> None:
    times = [n * 0.02 + 0.001 for n in range(500)]
    assert share_missing([times, times], 1.0, 3.0) == 0
    assert round(share_missing([times, times[::2]], 1.0, 3.0), 6) == 0.25
    assert share_missing([times, []], 1.0, 3.0) == 0.5  # who was cut off misses all
    late = [at + 0.5 if at > 2 else at for at in times]  # half a second that is never made up for
    assert round(share_missing([late], 1.0, 3.0), 6) == 0.25


def test_who_was_refused() -> None:
    errors = [{"error": "HTTP 503: full", "count": 30}, {"error": "no answer", "count": 1}]
    report = {"sessions_ok": 9, "sessions_failed": 31, "errors": errors}
    assert share_refused(report) == 0.75
