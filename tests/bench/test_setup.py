"""The figures of the set-up bench are those of its calls."""

from __future__ import annotations

from bench.setup import FIELDS, TRIALS, summary


def test_a_summary_is_medians_and_extremes() -> None:
    calls = [{name: float(value) for name in FIELDS} for value in (300, 100, 200)]
    fields = summary("rtt100_plain", calls)
    assert fields["rtt100_plain_connected_ms"] == 200
    assert fields["rtt100_plain_connected_best_ms"] == 100
    assert fields["rtt100_plain_datachannel_worst_ms"] == 300
    assert set(fields) >= {f"rtt100_plain_{name}_ms" for name in FIELDS}


def test_field_trials_are_written_as_chromium_reads_them() -> None:
    for trials in filter(None, TRIALS.values()):
        parts = trials.split("/")
        assert parts[-1] == ""
        assert len(parts) % 2 == 1
        assert set(parts[1::2]) == {"Enabled"}
