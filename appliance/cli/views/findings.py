"""What a doctor has found, for people: a line a finding, and what to change under it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.doctor.finding import Level, Report

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def report_view(report: Report) -> RenderableType:
    """All findings in their order, then how many of each kind."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in report.findings:
        style = _STYLES[finding.level]
        grid.add_row(Text(finding.level.value, style=style), finding.check, Text(finding.what))
        if finding.advice:
            grid.add_row("", "", Text(f"-> {finding.advice}", style="cyan"))
    counts = (f"{report.count(level)} {level.value}" for level in Level)
    return Group(grid, "", Text(", ".join(counts)))
