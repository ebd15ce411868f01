"""The report as a table for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from workers.caller.report import NOTES, PERCENTILES, Report


def show(report: Report, fields: dict[str, Any]) -> None:
    """Print it to standard output."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("milliseconds")
    for name in PERCENTILES:
        table.add_column(name, justify="right")
    table.add_column("")
    for name, values in report.rows():
        table.add_row(name, *values, NOTES[name.replace(" ", "_")])
    if table.row_count:
        console.print(table)
        console.print()
    console.print(
        f"{report.sent} frames sent, {report.received} back, "
        f"{_marked(report.lost, 'lost')} ({report.lost_up} up, {report.lost_down} down), "
        f"{_marked(report.duplicates, 'twice')}, "
        f"{_marked(report.reordered, 'late')}, {_marked(report.foreign, 'not ours')}"
    )
    if report.messages_sent:
        lost = report.messages_sent - report.messages_received
        console.print(
            f"{report.messages_sent} messages sent, {report.messages_received} back, "
            f"{_marked(lost, 'lost')}"
        )
    if report.restarts:
        console.print(f"{report.restarts} ICE restart{'' if report.restarts == 1 else 's'}")
    if report.reconnects:
        console.print(f"{report.reconnects} TCP connections made again")
    failed = report.sessions_failed
    console.print(
        f"{report.sessions_ok} call{'' if report.sessions_ok == 1 else 's'} ok"
        + (f", [bold red]{failed} failed[/]" if failed else "")
    )
    for error, count in report.errors.most_common():
        console.print(f"  [red]{count} x[/] ", end="")
        console.print(error, markup=False)
    for warning in fields["warnings"]:
        console.print(f"[yellow]{warning}[/]")


def _marked(count: int, what: str) -> str:
    return f"[bold yellow]{count} {what}[/]" if count else f"0 {what}"
