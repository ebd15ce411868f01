"""docs/performance.md says what the run beside it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.picture import picture
from bench.tables import matrix, paced, saturated

DOCS = Path(__file__).parents[2] / "docs"
RUN = json.loads((DOCS / "relay-bench.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("table", [saturated, matrix, paced])
def test_the_tables_are_those_of_the_saved_run(table: Callable[[Mapping[str, Any]], str]) -> None:
    assert table(RUN) in (DOCS / "performance.md").read_text(encoding="utf-8")


def test_the_picture_is_that_of_the_saved_run() -> None:
    assert picture(RUN) == (DOCS / "relay-bench.svg").read_text(encoding="utf-8")


def test_the_saved_run_meets_the_goals() -> None:
    """Of CPU: against the bare forwarders and coturn. A run that misses them must not pass unseen."""
    assert RUN["native_to_c_mmsg"] <= 0.75
    assert RUN["native_to_coturn"] <= 0.4
    assert RUN["native_to_c_pack"] <= 1.15
    assert RUN["native_to_c_mmsg_5k"] <= 1.15
    assert RUN["native_to_c_mmsg_20k"] <= 1.15
    assert RUN["tandem_native_20k_p50_us"] <= RUN["coturn_20k_p50_us"]
    assert RUN["tandem_native_20k_p99_us"] <= RUN["coturn_20k_p99_us"]
