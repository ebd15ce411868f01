"""Problem bodies: stable types, one per kind."""

from __future__ import annotations

import re
from pathlib import Path

from workers.http.problems import ProblemKind

WIRE = Path(__file__).parents[3] / "docs" / "wire.md"


def test_types_are_unique_and_stable() -> None:
    types = [kind.type for kind in ProblemKind]
    assert len(set(types)) == len(types)
    assert ProblemKind.MALFORMED_SDP.type == "urn:tandem:problem:malformed-sdp"
    assert ProblemKind.NOTHING_IN_COMMON.type == "urn:tandem:problem:nothing-in-common"


def test_the_page_of_wire_formats_has_them_all() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|", WIRE.read_text(), re.MULTILINE)
    said = {
        (name, status)
        for statuses, names in rows
        for name in re.findall(r"`([a-z0-9-]+)`", names)
        for status in map(int, statuses.split(","))
    }
    assert {(kind.value.slug, kind.status) for kind in ProblemKind} <= said
    assert {name for name, _ in said} == {kind.value.slug for kind in ProblemKind}
