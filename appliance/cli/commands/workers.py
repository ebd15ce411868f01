"""`tandem workers`."""

from __future__ import annotations

import click

from appliance.cli.client import Line, appliance_options, ask, json_option
from appliance.cli.help import Command
from ipc.messages.admin import StatusReply, StatusRequest


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem workers
  tandem workers --json | jq '.workers[] | select(.restarts > 0)'""",
)
@appliance_options
@json_option
def command(line: Line, as_json: bool) -> None:
    """Show the processes in detail.

    "cpu" is the CPU that a worker is pinned to, "generation" the number of its process, which no other one
    of this host has had, "last exit" why the process before it ended.
    """
    status = ask(line, StatusRequest(), StatusReply)

    from appliance.cli import render
    from appliance.cli.views.workers import workers_view

    if as_json:
        click.echo(render.as_json(status))
    else:
        render.show(workers_view(status))
