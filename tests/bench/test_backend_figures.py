"""The arithmetic of the bench of back ends."""

from __future__ import annotations

from bench.backend_figures import Cut, cut_fields, delay_fields, percentile


def test_percentiles() -> None:
    values = [n / 1000 for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 0.051
    assert percentile(values, 0.99) == 0.1
    assert percentile([], 0.5) == 0.0


def test_one_way_is_half_of_there_and_back() -> None:
    assert delay_fields([0.002, 0.002, 0.010]) == {
        "added_delay_p50_ms": 1.0,
        "added_delay_p99_ms": 5.0,
    }


def test_a_cut_is_late_by_its_last_frame_and_wrong_by_what_was_told() -> None:
    cuts = [Cut(1.0, 1.004, 100, 120), Cut(2.0, 1.99, 80, 80)]
    assert cut_fields(cuts) == {
        "flushes": 2,
        "flush_p50_ms": 4.0,
        "flush_p99_ms": 4.0,
        "played_error_ms": 20,
    }
    assert cut_fields([])["flush_p99_ms"] == 0.0
