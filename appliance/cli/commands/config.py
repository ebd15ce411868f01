"""`tandem config check`, `show` and `diff`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from appliance.cli.client import Line, appliance_options, ask, json_option
from appliance.cli.failure import Failed
from appliance.cli.help import Group
from appliance.cli.settings import DEFAULT_FILE, find_file, read_config
from appliance.supervisor.configuration import read_text
from appliance.supervisor.problems import EXIT_CONFIG
from config.change import Effect
from config.problems import ConfigError
from ipc.messages.admin import ConfigChange, DiffRequest, ReloadReply

EXIT_DIFFERENT: Final = 1

_file_argument = click.argument(
    "file", type=click.Path(path_type=Path), required=False, metavar="[FILE]"
)


@click.group(
    cls=Group,
    epilog="""\b
Examples:
  tandem config check tandem.toml
  tandem config show > tandem.toml
  tandem config diff""",
)
def command() -> None:
    """Check a configuration, show what it comes to, or what a reload would do."""


@command.command(
    short_help="Print every problem of FILE.",
    epilog="""\b
Examples:
  tandem config check tandem.toml
  tandem config check && tandem reload""",
)
@_file_argument
def check(file: Path | None) -> None:
    """Print every problem of FILE, each with its line, or that there is none.

    Without FILE: of the file that `tandem run` would read. The exit code is 78 if there are problems.
    """
    found = find_file(file)
    read_config(found)
    click.echo(f"{found}: ok" if found else f"no {DEFAULT_FILE}: the built-in defaults apply")


@command.command(
    short_help="Print the values in force.",
    epilog="""\b
Examples:
  tandem config show
  tandem config show tandem.toml --json | jq .relay""",
)
@_file_argument
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of TOML.")
def show(file: Path | None, as_json: bool) -> None:
    """Print the values in force: those of FILE, and the defaults for all others.

    Without FILE: of the file that `tandem run` would read. What is printed can be saved and used as
    a configuration.
    """
    config = read_config(find_file(file))
    if as_json:
        click.echo(config.model_dump_json(indent=2))
    else:
        from config.dump import dump

        click.echo(dump(config), nl=False)


@command.command(
    short_help="Say what a reload would do.",
    epilog="""\b
Examples:
  tandem config diff
  tandem config diff new.toml --json | jq -r '.changes[].key'""",
)
@click.argument("new", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@appliance_options
@json_option
def diff(line: Line, new: Path | None, as_json: bool) -> None:
    """Say what `tandem reload` would do if the running appliance's file were FILE.

    Every key whose value is another one than is in force, with both, and what a change takes: nothing
    (live), new workers of some kinds beside or after the old ones, or a restart. Without FILE: the file
    that the appliance was started with, as it is now. Nothing is changed. The exit code is 0 if nothing
    differs, 1 if something does, 78 if the file cannot be used.
    """
    try:
        wanted = None if new is None else read_text(new)
    except ConfigError as error:
        raise Failed(map(str, error.problems), EXIT_CONFIG) from None
    reply = ask(line, DiffRequest(wanted, str(new or "")), ReloadReply)
    if as_json:
        from appliance.cli import render

        click.echo(render.as_json(reply))
    elif not reply.problems:
        for text in _differences(reply.changes):
            click.echo(text)
        if not reply.changes:
            click.echo("nothing differs from what is in force", err=True)
    if reply.problems:
        raise Failed(() if as_json else reply.problems, EXIT_CONFIG)
    if reply.changes:
        raise Failed((), EXIT_DIFFERENT)


def _differences(changes: tuple[ConfigChange, ...]) -> Iterator[str]:
    for change in changes:
        yield f"{change.key}: {change.old} -> {change.new}  ({_effect(change)})"


def _effect(change: ConfigChange) -> str:
    match change.effect:
        case Effect.LIVE:
            return "live"
        case Effect.ROLL_WORKERS:
            return f"new workers: {', '.join(change.roles)}"
        case _:
            return "at the next start"
