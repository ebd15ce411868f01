"""`tandem call`: becomes the caller, a worker program that the appliance itself never imports."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Call a server like a browser would, and measure.

    Options and help are the caller's own.
    """
    # -P: the current directory must not lend its modules to the program.
    caller = [sys.executable, "-P", "-m", "workers.caller", *arguments]
    os.execv(sys.executable, caller)  # noqa: S606 - no shell is wanted
