"""`tandem config check` and `tandem config show`."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.settings import DEFAULT_FILE, find_file, read_config

_file_argument = click.argument(
    "file", type=click.Path(path_type=Path), required=False, metavar="[FILE]"
)


@click.group(
    epilog="""\b
Examples:
  tandem config check tandem.toml
  tandem config show > tandem.toml"""
)
def command() -> None:
    """Check a configuration, or show what it comes to."""


@command.command(short_help="Print every problem of FILE.")
@_file_argument
def check(file: Path | None) -> None:
    """Print every problem of FILE, each with its line, or that there is none.

    Without FILE: of the file that `tandem run` would read. The exit code is 78 if there are problems.
    """
    found = find_file(file)
    read_config(found)
    click.echo(f"{found}: ok" if found else f"no {DEFAULT_FILE}: the built-in defaults apply")


@command.command(short_help="Print the values in force.")
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
