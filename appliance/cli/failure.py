"""How a command ends that could not do what it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import click

from ipc.journal import graver


class Failed(click.ClickException):
    """Lines for standard error and the exit code; no traceback, since nothing is broken here."""

    def __init__(self, lines: Iterable[str], exit_code: int) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))
        vars(self)["exit_code"] = exit_code  # click declares it for the class only

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the lines as they are: they name the file or the key they are about."""
        for line in self.lines:
            click.echo(graver(line) if file is None else line, file=file, err=file is None)
