"""Text of strangers where Rich would take brackets for markup, and pass control characters on."""

from __future__ import annotations

from rich import markup

from ipc.log_line import printable


def escape(text: str) -> str:
    """It says what it says, and tells neither Rich nor the terminal anything."""
    return markup.escape(printable(text))
