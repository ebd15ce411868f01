"""Flows of relays, for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.fitted import Column, FittedTable
from appliance.cli.plain import escape
from ipc.messages.flows import FlowList, FlowSummary

_COLUMNS = (
    Column("client"),
    Column("to", 1),
    Column("worker"),
    Column("state"),
    Column("label", 4),
    Column("route", 3),
    Column("silent", 2, number=True),
)
_STYLES = {"assured": "green", "pending": "cyan"}


def flows_view(flows: FlowList) -> RenderableType:
    """One flow a row, and how many there are if not all are shown."""
    if not flows.rows:
        return Text("no flows")
    table = flows_table(flows.rows)
    if flows.total > len(flows.rows):
        return Group(table, Text(f"{len(flows.rows)} of {flows.total} flows shown"))
    return table


def flows_table(rows: Iterable[FlowSummary]) -> FittedTable:
    """The rows alone."""
    table = FittedTable(_COLUMNS)
    for row in rows:
        table.add_row(
            escape(str(row.client)),
            escape(f"{row.local}{'/tcp' if row.transport == 'tcp' else ''}"),
            escape(row.worker),
            f"[{_STYLES.get(row.state, 'red')}]{escape(row.state)}[/]",
            label_text(row.label),
            str(row.route) if row.link is not None else f"[red]{row.route}[/]",
            f"{row.silence:.1f} s",
        )
    return table


def label_text(label: int) -> str:
    """Slot and generation."""
    return f"{label >> 8}.{label & 0xFF}"
