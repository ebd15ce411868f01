"""`tandem undrain`."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.client import admin_socket, ask, runtime_option
from appliance.cli.settings import config_option, find_file, read_config
from ipc.messages.admin import CordonRequest, StatusReply


@click.command(
    epilog="""\b
Examples:
  tandem undrain
  tandem undrain transceiver-1"""
)
@click.argument("what", nargs=-1, metavar="[TRANSCEIVER]...")
@config_option
@runtime_option
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def command(
    what: tuple[str, ...], file: Path | None, directory: Path | None, as_json: bool
) -> None:
    """Take sessions again: take back `tandem drain`.

    Without a name, or with "host", everything that was drained takes sessions again.
    """
    socket = admin_socket(read_config(find_file(file)), directory)
    names = () if set(what) <= {"host"} else what
    status = ask(socket, CordonRequest(names, lift=True), StatusReply)
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
