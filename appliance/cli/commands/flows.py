"""`tandem flows`."""

from __future__ import annotations

import click

from appliance.cli.client import EXIT_USAGE, Line, appliance_options, ask, json_option
from appliance.cli.completion import complete_worker
from appliance.cli.help import Command
from ipc.messages.flows import FlowList, FlowsRequest


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem flows
  tandem flows --worker relay-0 --limit 20
  tandem flows --json | jq -r '.rows[].worker' | sort | uniq -c""",
)
@appliance_options
@click.option(
    "--worker",
    default="",
    metavar="NAME",
    shell_complete=complete_worker,
    help="Of this relay only.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 4000),
    default=1000,
    show_default=True,
    help="Most flows to list.",
)
@json_option
def command(line: Line, worker: str, limit: int, as_json: bool) -> None:
    """List the flows of the relays: who talks to which transceiver.

    A flow is pending until its transceiver has vouched for it, then assured. "label" is its slot and
    generation, "route" cluster/transceiver/boot, "silent" the time since the client's last datagram.
    """
    flows = ask(line, FlowsRequest(worker, limit), FlowList, refused=EXIT_USAGE)

    from appliance.cli import render
    from appliance.cli.views.flows import flows_view

    if as_json:
        click.echo(render.as_json(flows))
    else:
        render.show(flows_view(flows))
