"""Which configuration a command works with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from appliance.cli.failure import Failed
from appliance.supervisor.configuration import read_file
from appliance.supervisor.problems import EXIT_CONFIG
from config.model import Config
from config.problems import ConfigError

DEFAULT_FILE: Final = Path("/etc/tandem/tandem.toml")

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Configuration. Default: {DEFAULT_FILE} if there is one, else the built-in defaults.",
)


def find_file(given: Path | None) -> Path | None:
    """The file to read, or None for the built-in defaults."""
    if given is not None:
        return given
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def read_config(file: Path | None) -> Config:
    """Read a file, or take the built-in defaults. Raises Failed with every problem in it."""
    try:
        return read_file(file)
    except ConfigError as error:
        raise Failed(map(str, error.problems), EXIT_CONFIG) from None
