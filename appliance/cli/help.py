"""Help of commands that ask an appliance: their own options first, then those that say which appliance."""

from __future__ import annotations

from typing import Final

import click

WHICH: Final = ("file", "directory", "connect", "server_key", "client_key")
"""Names of the options that say which appliance is meant."""


class Command(click.Command):
    """A command with these options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two sections."""
        _write(self, ctx, formatter)


class Group(click.Group):
    """A command of commands with these options."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its commands come first: most who ask look for one."""
        self.format_commands(ctx, formatter)
        _write(self, ctx, formatter)


def _write(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Which appliance": []}
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Argument):
            continue  # stands under "Usage", and the text says what it is
        if (record := parameter.get_help_record(ctx)) is not None:
            title = "Which appliance" if parameter.name in WHICH else "Options"
            sections[title].append(record)
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
