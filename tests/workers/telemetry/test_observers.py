"""What we give to Prometheus and Grafana, and what the manual says, names metrics and labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.promtool import promtool
from tests.support.tree import ROOT
from workers.telemetry.core.catalogue import METRICS
from workers.telemetry.core.metrics import APPLIANCE_STATES
from workers.wire.types import DropReason

ALERTS = ROOT / "docs/alerts.yml"
DASHBOARD = ROOT / "docs/grafana-dashboard.json"
SERIES = {name for metric in METRICS for name in metric.series()}


@pytest.mark.parametrize("name", ["operations.md", "alerts.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"\btandem_[a-z0-9_]+", (ROOT / "docs" / name).read_text("utf-8")))
    assert named
    assert named <= SERIES


def test_every_value_that_rules_ask_for_exists() -> None:
    known = {each.value for each in (*CloseReason, *DropReason)} | set(APPLIANCE_STATES)
    asked = re.findall(r'(?:reason|state)=~?"([a-z_|]+)"', ALERTS.read_text("utf-8"))
    assert asked
    assert {value for values in asked for value in values.split("|")} <= known


def test_the_rules_are_rules() -> None:
    checked = promtool("check", "rules", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_every_expression_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    """As rules: promtool has no other way to check one."""
    rules = [
        {
            "record": f"r{n}",
            "expr": each.replace("$__rate_interval", "1m").replace("$instance", ".*"),
        }
        for n, each in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_the_dashboard_overlaps_nowhere() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
