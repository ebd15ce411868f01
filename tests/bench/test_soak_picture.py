"""The picture is sound XML, says what the run says, and stays inside itself."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from bench.soak import ROLES, Look, batches, lines
from bench.soak_picture import WIDTH, picture
from tests.support.tree import ROOT

REPORT = {
    "sessions_ok": 617,
    "sessions_failed": 0,
    "packets_sent": 1_000_000,
    "packets_lost": 3,
    "messages_lost": 0,
    "jitter_p99_ms": 1.25,
    "rtt_p99_ms": 2.0,
    "tick_late_max_ms": 3.0,
}
LOOKS = [
    Look(float(at), dict.fromkeys(ROLES, at * 1_000_000), dict.fromkeys(ROLES, 20), at, 5, 9)
    for at in range(1000)
]
RUN: dict[str, Any] = {
    "seconds": 999.0,
    "sessions": 60,
    "calls": 1234,
    "calls_failed": 0,
    "packets": 2_000_000,
    "packets_lost": 3,
    "series": lines(LOOKS),
    "batches": batches([(10.0, [REPORT]), (990.0, [REPORT, REPORT])]),
}


def test_it_is_xml_with_every_line_and_its_last_value() -> None:
    root = ElementTree.fromstring(picture(RUN))
    said = "".join(root.itertext())
    for words in ("relay 995 MB", "transceiver 20", "sessions 5", "flows 995", "1.2 ms", "1,234"):
        assert words in said
    assert "In the end" in str(root.get("aria-label"))


def test_lines_stay_inside_and_are_not_too_fine() -> None:
    root = ElementTree.fromstring(picture(RUN))
    drawn = [each for each in root.iter() if each.tag.endswith("polyline")]
    assert len(drawn) == 2 + len(ROLES) * 2 + 2
    for line in drawn:
        points = [tuple(map(float, p.split(","))) for p in str(line.get("points")).split()]
        assert 2 <= len(points) <= 240
        assert all(0 < x < WIDTH and 0 < y < 1000 for x, y in points)


def test_names_at_the_ends_do_not_cover_each_other() -> None:
    root = ElementTree.fromstring(picture(RUN))
    ends = [
        float(str(each.get("y")))
        for each in root.iter()
        if each.tag.endswith("text") and each.get("class") == "text small"
    ]
    assert all(abs(a - b) >= 15 for a, b in pairwise(ends))


def test_the_picture_of_the_docs_is_that_of_the_run_that_was_saved() -> None:
    run = json.loads((ROOT / "docs/soak.json").read_text(encoding="utf-8"))
    drawn = (ROOT / "docs/soak.svg").read_text(encoding="utf-8")
    assert drawn == picture(run), "run: make soak, or python -m bench.soak_picture"
