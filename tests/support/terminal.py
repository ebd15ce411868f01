"""What people see of a view, as text."""

from __future__ import annotations

from rich.console import Console, RenderableType


def text_of(view: RenderableType, width: int = 200) -> str:
    """As printed on a terminal of that width."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def row_of(text: str, name: str) -> str:
    """The one line that begins so, with single spaces."""
    (row,) = (line for line in text.splitlines() if line.startswith(name))
    return " ".join(row.split())
