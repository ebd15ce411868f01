"""`tandem sessions`."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.client import admin_socket, ask, runtime_option
from appliance.cli.settings import config_option, find_file, read_config
from ipc.messages.admin import SessionsRequest
from ipc.messages.sessions import SessionList


@click.command(
    epilog="""\b
Examples:
  tandem sessions
  tandem sessions --limit 10
  tandem sessions --json | jq '.rows[] | select(.lost > 0)'"""
)
@config_option
@runtime_option
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Most sessions to list.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, every field in it.")
def command(file: Path | None, directory: Path | None, limit: int, as_json: bool) -> None:
    """List the live sessions.

    A session id is a capability: whoever has it can end the session. The exit code is 69 if no
    appliance runs.
    """
    socket = admin_socket(read_config(find_file(file)), directory)
    sessions = ask(socket, SessionsRequest(limit=limit), SessionList)

    from appliance.cli import render

    if as_json:
        click.echo(render.as_json(sessions))
    else:
        render.show(render.sessions_view(sessions))
