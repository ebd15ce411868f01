"""What matters less goes first, and what is left out is named."""

from __future__ import annotations

import pytest

from appliance.cli.fitted import Column, FittedTable
from tests.support.terminal import row_of, text_of

COLUMNS = (
    Column("name"),
    Column("path", 2, about="way in"),
    Column("lost", 1, number=True),
    Column("why", fold=6),
)


def table() -> FittedTable:
    table = FittedTable(COLUMNS)
    table.add_row("[red]relay-0[/]", "192.0.2.1:5000", "7", "killed by signal 9")
    return table


def test_where_there_is_room_everything_is_shown() -> None:
    text = text_of(table(), width=80)
    assert row_of(text, "relay-0") == "relay-0 192.0.2.1:5000 7 killed by signal 9"
    assert "no room" not in text


def test_the_least_important_goes_first_and_is_named() -> None:
    text = text_of(table(), width=32)
    assert "192.0.2.1" not in text
    assert row_of(text, "relay-0").startswith("relay-0 7 killed")
    assert "no room for: way in" in " ".join(text.split())


def test_then_the_next_and_what_stays_stays() -> None:
    text = text_of(table(), width=14)
    assert "lost" not in text.splitlines()[0]
    assert {"name", "why"} <= set(text.splitlines()[0].split())
    assert max(map(len, text.splitlines())) <= 14


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="3 cells for 4 columns"):
        table().add_row("a", "b", "c")
