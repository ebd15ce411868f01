"""docs/alerts.yml asks for metrics, labels and values that there are, and Prometheus can read it."""

from __future__ import annotations

import re

from ipc.messages.sessions import CloseReason
from tests.support.promtool import promtool
from tests.support.tree import ROOT
from workers.telemetry.core.catalogue import METRICS

FILE = ROOT / "docs" / "alerts.yml"
LABELS = {metric.name: set(metric.labels) | {"instance"} for metric in METRICS}


def test_prometheus_reads_them() -> None:
    checked = promtool("check", "rules", FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_they_are_about_what_there_is() -> None:
    text = FILE.read_text()
    asked = re.findall(r"(tandem_\w+)(?:\{(\w+)=)?", text)
    assert len(asked) > 10
    for name, label in asked:
        assert name in LABELS, name
        assert label in {"", *LABELS[name]}, (name, label)
    for labels, name in re.findall(r"by \(([\w, ]+)\) \(\w+\((tandem_\w+)", text):
        assert set(labels.split(", ")) <= LABELS[name], name
    for reasons in re.findall(r'reason=~?"([\w|]+)"', text):
        assert set(reasons.split("|")) <= set(CloseReason), reasons
