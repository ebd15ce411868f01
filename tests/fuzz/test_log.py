"""The log has a row for each target, and its sums are sums."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.targets import TARGETS
from tests.support.tree import ROOT

LOG: Final = Path(__file__).with_name("LOG.md")
_ROW: Final = re.compile(r"\| (C: )?`(\w+)` \| (\d+) \| ([\d,]+) \| [\d,]+ \| [\d,]+ \| (\d+) \|")


class Row(NamedTuple):
    """Of one target."""

    native: bool
    name: str
    minutes: int
    executions: int
    findings: int


def rows() -> list[Row]:
    found = map(_ROW.fullmatch, LOG.read_text(encoding="utf-8").splitlines())
    return [
        Row(bool(row[1]), row[2], int(row[3]), int(row[4].replace(",", "")), int(row[5]))
        for row in found
        if row
    ]


def in_all(logged: list[Row]) -> str:
    hours, minutes = divmod(sum(row.minutes for row in logged), 60)
    executions = sum(row.executions for row in logged)
    findings = sum(row.findings for row in logged)
    return (
        f"**In all: {len(logged)} targets, {hours} h {minutes} min,"
        f" {executions:,} executions, {findings} findings.**"
    )


def test_every_target_has_its_row() -> None:
    names = [row.name for row in rows() if not row.native]
    assert sorted(names) == sorted(TARGETS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    native = re.search(r"(?ms)^fuzz-native:.*?for name in ([\w ]+);", makefile)
    assert native is not None
    assert [row.name for row in rows() if row.native] == native[1].split()


def test_the_sum_is_one() -> None:
    assert in_all(rows()) in LOG.read_text(encoding="utf-8").splitlines()
