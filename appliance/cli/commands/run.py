"""`tandem run`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from appliance.cli.failure import Failed
from appliance.cli.settings import config_option, find_file
from appliance.supervisor.appliance import page_url
from appliance.supervisor.in_force import begin
from appliance.supervisor.notify import MANAGED
from appliance.supervisor.problems import EXIT_CONFIG
from appliance.supervisor.supervisor import run
from config.model import Config
from config.problems import ConfigError


@click.command(
    epilog="""\b
Examples:
  tandem run
  tandem run -c /etc/tandem/tandem.toml"""
)
@config_option
def command(file: Path | None) -> None:
    """Start the appliance and serve until told to stop.

    Log lines go to standard error. SIGTERM or Ctrl-C lets live sessions finish, for as long as
    supervisor.drain_timeout says; a second one stops at once. SIGHUP, of a terminal that is closed, does
    the same; where systemd has started the appliance it is a reload.
    """
    found = find_file(file)
    try:
        beginning = begin(found)
    except ConfigError as error:
        raise Failed(map(str, error.problems), EXIT_CONFIG) from None
    on_ready = _greeter(beginning.config, file)
    sys.exit(run(beginning, config_path=found, on_ready=on_ready))


def _greeter(config: Config, given: Path | None) -> Callable[[str], None]:
    if MANAGED in os.environ:
        return lambda page: None  # systemd is told, and reads the log
    return partial(_greet, config=config, given=given)


def _greet(page: str, *, config: Config, given: Path | None) -> None:
    # Outside the virtual environment `tandem` is not on the path: show what was typed.
    tandem = "tandem" if shutil.which("tandem") else shlex.quote(sys.argv[0])
    option = f" -c {shlex.quote(str(given))}" if given else ""
    listen = config.ops.listen
    ops = f"\n    ops      {page_url(listen)}" if listen else ""
    patience = config.supervisor.drain_timeout
    # Whoever reads our standard output may be gone; that must not end the appliance.
    calls = f"{page}v1/realtime/calls"
    sessions = f"""
    page     {page}
    calls    {calls}
    try      {tandem} call {calls}"""
    with suppress(OSError):
        click.echo(f"""
  Tandem is ready.
{sessions if page else ""}{ops}
    watch    {tandem} status{option}

  Ctrl-C lets live sessions finish, {patience:g} s at most; a second one stops at once.
""")
