"""`tandem doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from appliance.cli.client import admin_socket, ask, json_option, runtime_option
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from appliance.cli.settings import config_option, find_file, read_config
from ipc.messages.admin import StatusReply, StatusRequest

EXIT_FAILS: Final = 1
PATIENCE: Final = 2.0
"""Seconds for the appliance; a doctor comes to those who do not answer, too."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem doctor
  tandem doctor -c /etc/tandem/tandem.toml
  tandem doctor --json | jq '.findings[] | select(.level != "ok")'""",
)
@config_option
@runtime_option
@json_option
@click.pass_context
def command(
    context: click.Context, file: Path | None, directory: Path | None, as_json: bool
) -> None:
    """Look for what is wrong with this host and the appliance on it, and say what to change.

    Sysctls, buffers that are really given, ports, clocks, network cards and CPUs, permissions, the native
    code, libraries; also while no appliance runs. "warn" works and will lose something some day, "fail"
    does not work: then the exit code is 1. As root, or as the appliance's user, it sees more.
    """
    found = find_file(file)
    config = read_config(found)
    line = admin_socket(config, directory)
    try:
        status = ask(line, StatusRequest(), StatusReply, within=PATIENCE)
    except Failed:
        status = None

    from appliance.cli import render
    from appliance.cli.views.findings import report_view
    from appliance.doctor.examination import examine
    from appliance.doctor.finding import Level
    from appliance.doctor.host import Host
    from appliance.supervisor.directories import find_state

    runtime = Path(line.name).parent
    state = find_state(config.supervisor)
    report = examine(Host(config, found, runtime, state, status))
    if as_json:
        click.echo(render.as_json(report))
    else:
        render.show(report_view(report))
    if report.count(Level.FAIL):
        context.exit(EXIT_FAILS)
