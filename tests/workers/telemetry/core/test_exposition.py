"""What Prometheus is told can be read by its own parsers, in both formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from ipc.messages.stats import Histogram
from workers.telemetry.core.exposition import Exposition, Kind, Metric

CALLS = Metric("calls_total", Kind.COUNTER, "Calls.", ("worker", "reason"))
LOAD = Metric("load", Kind.GAUGE, "Load.")
TRIP = Metric("trip_seconds", Kind.HISTOGRAM, "There and back.", ("worker",))
FORMATS = [
    pytest.param(False, read_prometheus, id="prometheus"),
    pytest.param(True, open_metrics.text_string_to_metric_families, id="openmetrics"),
]
Read = Callable[[str], Iterable[Any]]


def samples(read: Read, text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (s.name, *s.labels.values()): s.value
        for family in read(text.decode())
        for s in family.samples
    }


@pytest.mark.parametrize(("open_format", "read"), FORMATS)
def test_all_kinds(open_format: bool, read: Read) -> None:
    out = Exposition((CALLS, LOAD, TRIP))
    out.add(CALLS, 12345678901234, "a", "busy")
    out.add(LOAD, True)
    out.add_histogram(TRIP, (0.1, 1.0), Histogram((3, 0, 2), 7.5), "a")
    text = out.encode(open_metrics=open_format)
    assert samples(read, text) == {
        ("calls_total", "a", "busy"): 12345678901234,
        ("load",): 1,
        ("trip_seconds_bucket", "a", "0.1"): 3,
        ("trip_seconds_bucket", "a", "1.0"): 3,
        ("trip_seconds_bucket", "a", "+Inf"): 5,
        ("trip_seconds_count", "a"): 5,
        ("trip_seconds_sum", "a"): 7.5,
    }
    assert text.endswith(b"# EOF\n") is open_format
    kinds = {family.name: family.type for family in read(text.decode())}
    assert kinds == {"calls": "counter", "load": "gauge", "trip_seconds": "histogram"}


@pytest.mark.parametrize(("open_format", "read"), FORMATS)
def test_a_metric_without_samples_is_not_mentioned(open_format: bool, read: Read) -> None:
    text = Exposition((CALLS, LOAD)).encode(open_metrics=open_format)
    assert list(read(text.decode())) == []


@given(st.text(max_size=20))
def test_whatever_a_label_says_comes_through(value: str) -> None:
    out = Exposition((CALLS,))
    out.add(CALLS, 1, value, 'a"b\\c\nd')
    text = out.encode(open_metrics=True).decode()
    read: Read = open_metrics.text_string_to_metric_families
    (family,) = read(text)
    (sample,) = family.samples
    assert sample.labels == {"worker": value, "reason": 'a"b\\c\nd'}


def test_labels_that_are_not_the_metrics_are_a_bug() -> None:
    out = Exposition((CALLS,))
    with pytest.raises(ValueError, match="shorter"):
        out.add(CALLS, 1, "a")
