"""Rates by the workers' own times, gaps where nothing is known, and a bound to it all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages.stats import ROUND_TRIP_BOUNDS
from tests.support.statuses import every_role, quality_of, relay, row, status_of, transceiver
from workers.telemetry.core.history import LENGTH, WINDOW, History, Sample, below, columns


def newest(history: History) -> Sample:
    return history.after(history.serial - 1)[0]


def test_rates_are_by_the_times_that_workers_give() -> None:
    history = History()
    history.add(status_of(row(relay(10.0, 0, cpu=1.0))), 0)
    history.add(status_of(row(relay(12.5, 1000, cpu=1.5, empty=50))), 2000)
    sample = newest(history)
    assert sample.received == 400
    assert sample.returned == 200
    assert sample.cpu["relay-0"] == pytest.approx(20)
    assert sample.drops == {"empty": 20}
    assert sample.memory == {"relay-0": 50, "supervisor": 50}


def test_who_has_published_nothing_new_goes_on_as_it_did() -> None:
    history = History()
    for at, received in ((1.0, 0), (2.0, 100), (2.0, 100), (4.0, 100)):
        history.add(status_of(row(relay(at, received))), 0)
    assert [sample.received for sample in history.after(0)] == [0, 100, 100, 0]


def test_a_replaced_worker_has_no_rate_until_its_second_word() -> None:
    history = History()
    history.add(status_of(row(relay(1.0, 5000), pid=1)), 0)
    history.add(status_of(row(relay(2.0, 5100), pid=1)), 0)
    history.add(status_of(row(relay(3.0, 10), pid=2)), 0)
    history.add(status_of(row(relay(4.0, 30), pid=2)), 0)
    assert [sample.received for sample in history.after(0)] == [0, 100, 0, 20]
    assert all(min(sample.cpu.values(), default=0) >= 0 for sample in history.after(0))


def test_the_supervisor_is_measured_too() -> None:
    history = History()
    history.add(status_of(at=1.0, cpu=1.0), 0)
    history.add(status_of(at=3.0, cpu=1.1), 0)
    assert newest(history).cpu == {"supervisor": pytest.approx(5)}


def test_reports_are_taken_over_a_window() -> None:
    history = History()
    history.add(status_of(row(transceiver(1.0))), 0)
    assert newest(history).round_trip is None
    quality = quality_of((0, 0, 4), total=0.08, lost_in=10, lost_out=5)
    history.add(status_of(row(transceiver(2.0, audio=90, quality=quality))), 0)
    for at in range(WINDOW - 1):
        sample = newest(history)
        assert sample.round_trip == pytest.approx(20)
        assert sample.round_trip_95 == pytest.approx(24.25)
        assert sample.loss_in == pytest.approx(10)
        assert sample.loss_out == pytest.approx(100 * 5 / 90)
        later = transceiver(3.0 + at, audio=90, quality=quality)
        history.add(status_of(row(later)), 0)
    history.add(status_of(row(transceiver(20.0, audio=90, quality=quality))), 0)
    assert newest(history).round_trip is None
    assert newest(history).loss_in is None


def test_it_is_bounded_and_says_what_is_missing() -> None:
    history = History()
    for at in range(LENGTH + 10):
        history.add(every_role(float(at)), at)
    assert history.serial == LENGTH + 10
    assert len(history.after(0)) == LENGTH
    assert [sample.at for sample in history.after(history.serial - 2)] == [LENGTH + 8, LENGTH + 9]
    assert history.after(history.serial) == []
    assert len(history.after(history.serial + 1)) == LENGTH, "a number of another process"


def test_columns_are_as_long_as_the_samples() -> None:
    history = History()
    history.add(status_of(row(relay(1.0, 0))), 5)
    history.add(status_of(row(relay(2.0, 300, empty=3)), row(transceiver(1.0))), 7)
    table = columns(history.after(0))
    assert table["at"] == [5, 7]
    assert table["received"] == [0.0, 300.0]
    assert table["drops"] == {"empty": [0, 3.0]}
    assert table["cpu"] == {"relay-0": [None, 0.0], "supervisor": [None, None]} or "cpu" in table
    assert columns([])["at"] == []


@given(st.lists(st.integers(0, 50), min_size=12, max_size=12), st.floats(0.01, 1))
def test_a_share_is_below_a_value_in_its_bucket(counts: list[int], share: float) -> None:
    if not any(counts):
        return
    value = below(share, ROUND_TRIP_BOUNDS, counts)
    within = sum(c for b, c in zip(ROUND_TRIP_BOUNDS, counts, strict=False) if b <= value)
    upto = next((i for i, b in enumerate(ROUND_TRIP_BOUNDS) if b >= value), 10)
    assert within <= share * sum(counts) + 1e-6 or value == ROUND_TRIP_BOUNDS[-1]
    assert sum(counts[: upto + 1]) >= share * sum(counts) - 1e-6 or value == ROUND_TRIP_BOUNDS[-1]
