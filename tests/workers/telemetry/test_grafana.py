"""docs/grafana.json asks for metrics and labels that there are, and Prometheus can read what it asks."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.support.promtool import promtool
from tests.support.tree import ROOT
from workers.telemetry.core.catalogue import METRICS

BOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text())
SHOWN = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ASKED = [target["expr"] for panel in SHOWN for target in panel["targets"]]
ASKED += [annotation["expr"] for annotation in BOARD["annotations"]["list"]]
LABELS = {metric.name: {"instance", *metric.labels} for metric in METRICS}
LABELS |= {f"{name}_bucket": {*labels, "le"} for name, labels in LABELS.items()}


def test_prometheus_reads_what_is_asked(tmp_path: Path) -> None:
    rules = [
        {"record": f"asked:{n}", "expr": asked.replace("$__rate_interval", "1m")}
        for n, asked in enumerate(ASKED)
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_it_asks_for_what_there_is() -> None:
    for asked in ASKED:
        selected = re.findall(r"(tandem_\w+){([^}]*)}", asked)
        assert {name for name, _ in selected} == set(re.findall(r"tandem_\w+", asked))
        for name, labels in selected:
            assert set(re.findall(r"(\w+)=", labels)) <= LABELS[name], asked
            for by in re.findall(r"by \(([^)]+)\)", asked):
                assert set(by.split(", ")) <= LABELS[name], asked


def test_legends_name_labels_that_are_left() -> None:
    for panel in SHOWN:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target.get("legendFormat", "")):
                by = re.findall(r"by \(([^)]+)\)", target["expr"])
                left = set(by[0].split(", ")) if by else {"instance", "worker"}
                assert label in left, target


def test_nothing_lies_on_anything_else() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for one, other in combinations((panel["gridPos"] for panel in BOARD["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
