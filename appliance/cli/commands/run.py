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

from appliance.cli.settings import config_option, find_file, read_config
from appliance.supervisor import supervisor
from config.model import Config


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
    supervisor.drain_timeout says; a second one stops at once.
    """
    found = find_file(file)
    config = read_config(found)
    sys.exit(supervisor.run(config, config_path=found, on_ready=_greeter(config, file)))


def _greeter(config: Config, given: Path | None) -> Callable[[str], None]:
    if "NOTIFY_SOCKET" in os.environ:
        return lambda page: None  # systemd is told, and reads the log
    return partial(_greet, config=config, given=given)


def _greet(page: str, *, config: Config, given: Path | None) -> None:
    # Outside the virtual environment `tandem` is not on the path: show what was typed.
    tandem = "tandem" if shutil.which("tandem") else shlex.quote(sys.argv[0])
    calls = f"{page}v1/realtime/calls"
    option = f" -c {shlex.quote(str(given))}" if given else ""
    patience = config.supervisor.drain_timeout
    # Whoever reads our standard output may be gone; that must not end the appliance.
    with suppress(OSError):
        click.echo(f"""
  Tandem is ready.

    page     {page}
    calls    {calls}
    try      {tandem} call {calls}
    watch    {tandem} status{option}

  Ctrl-C lets live sessions finish, {patience:g} s at most; a second one stops at once.
""")
