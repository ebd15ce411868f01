"""`tandem status`."""

from __future__ import annotations

import click

from appliance.cli.client import Line, appliance_options, ask, json_option
from appliance.cli.help import Command
from ipc.messages.admin import StatusReply, StatusRequest


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem status
  tandem status --json | jq '.workers[] | {name, state, sessions}'""",
)
@appliance_options
@json_option
def command(line: Line, as_json: bool) -> None:
    """Show the appliance and its workers.

    "load" is a relay's flows (a client that checks two addresses has two), a transceiver's sessions, open
    connections of HTTP. "in", "out" and "drop" are datagrams from and to clients (relays), records
    (transceivers), answers and crashes (HTTP), since the worker started; "cpu %" is the average since then.
    The exit code is 69 if no appliance runs.
    """
    status = ask(line, StatusRequest(), StatusReply)

    from appliance.cli import render

    if as_json:
        click.echo(render.as_json(status))
    else:
        render.show(render.status_view(status))
