"""`tandem undrain`."""

from __future__ import annotations

import click

from appliance.cli.client import EXIT_USAGE, Line, appliance_options, ask, json_option
from appliance.cli.completion import complete_worker
from appliance.cli.help import Command
from ipc.messages.admin import CordonRequest, StatusReply


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem undrain
  tandem undrain transceiver-1""",
)
@click.argument("what", nargs=-1, metavar="[TRANSCEIVER]...", shell_complete=complete_worker)
@appliance_options
@json_option
def command(line: Line, what: tuple[str, ...], as_json: bool) -> None:
    """Take sessions again: take back `tandem drain`.

    Without a name, or with "host", everything that was drained takes sessions again.
    """
    names = () if set(what) <= {"host"} else what
    status = ask(line, CordonRequest(names, lift=True), StatusReply, refused=EXIT_USAGE)
    if as_json:
        from appliance.cli import render

        click.echo(render.as_json(status))
        return
    left = [worker.name for worker in status.workers if worker.cordoned]
    if status.cordoned:
        click.echo("this host is drained still; take that back with: tandem undrain")
    elif left:
        click.echo(f"drained still: {', '.join(left)}")
    else:
        click.echo("everything takes sessions")
