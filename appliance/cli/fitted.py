"""A table that fits its screen: where there is no room, columns that matter less are left out, and named.

A cut cell misleads and a wrapped row is hard to read; who wants everything pipes it, or asks for --json.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text


class Column(NamedTuple):
    """One of a table."""

    name: str
    rank: int = 0
    """The highest goes first; 0 stays."""
    number: bool = False
    """To the right."""
    fold: int = 0
    """May be folded to this width; 0 never is."""
    about: str = ""
    """What the name alone does not say, where it is left out."""


class FittedTable:
    """Cells are in Rich's markup, one for each column."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """From left to right, all columns."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{len(cells)} cells for {len(self._columns)} columns")
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What fits, and what was left out."""
        shown, hidden = self._choose(options.max_width)
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0, header_style="bold")
        for index in shown:
            column = self._columns[index]
            table.add_column(
                column.name,
                justify="right" if column.number else "left",
                no_wrap=not column.fold,
                overflow="fold" if column.fold else "ellipsis",
            )
        for row in self._rows:
            table.add_row(*(row[index] for index in shown))
        yield table
        if hidden:
            names = ", ".join(column.about or column.name for column in hidden)
            yield Text(f"no room for: {names} (there is with | less -S)", style="dim")

    def _choose(self, room: int) -> tuple[list[int], list[Column]]:
        shown = list(range(len(self._columns)))
        widths = [self._width(index) for index in shown]
        while sum(widths[index] for index in shown) + len(shown) - 1 > room:
            least = max(shown, key=lambda index: self._columns[index].rank)
            if not self._columns[least].rank:
                break
            shown.remove(least)
        hidden = [column for index, column in enumerate(self._columns) if index not in shown]
        return shown, hidden

    def _width(self, index: int) -> int:
        column = self._columns[index]
        cells = [Text.from_markup(row[index]).cell_len for row in self._rows]
        widest = max([len(column.name), *cells])
        return min(widest, max(column.fold, len(column.name))) if column.fold else widest
