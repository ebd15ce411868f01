"""`tandem status`."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.client import admin_socket, ask, runtime_option
from appliance.cli.settings import config_option, find_file, read_config
from ipc.messages.admin import StatusReply, StatusRequest


@click.command(
    epilog="""\b
Examples:
  tandem status
  tandem status --json | jq '.workers[] | {name, state, sessions}'"""
)
@config_option
@runtime_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, every field in it.")
def command(file: Path | None, directory: Path | None, as_json: bool) -> None:
    """Show the appliance and its workers.

    "cpu %" is the average since the worker started. The exit code is 69 if no appliance runs.
    """
    socket = admin_socket(read_config(find_file(file)), directory)
    status = ask(socket, StatusRequest(), StatusReply)

    from appliance.cli import render

    if as_json:
        click.echo(render.as_json(status))
    else:
        render.show(render.status_view(status))
