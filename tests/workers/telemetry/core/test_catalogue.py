"""The names are as Prometheus wants them, and each is there once."""

from __future__ import annotations

import re

from workers.telemetry.core.catalogue import METRICS
from workers.telemetry.core.exposition import Kind


def test_names_are_conventional() -> None:
    # In OpenMetrics a counter is called as its samples are without `_total`.
    names = [metric.name.removesuffix("_total") for metric in METRICS]
    assert len(names) == len(set(names)) > 40
    for metric in METRICS:
        assert re.fullmatch(r"tandem_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        assert "\n" not in metric.help
        assert "\\" not in metric.help


def test_no_label_grows_with_traffic() -> None:
    allowed = {
        "version", "state", "role", "worker", "reason", "backend", "endpoint", "code", "what", "transport",
        "cluster", "relay",
    }  # fmt: skip
    assert {label for metric in METRICS for label in metric.labels} <= allowed
