"""`tandem trace`."""

from __future__ import annotations

from typing import Final

import click

from appliance.cli.client import Line, appliance_options, ask, json_option
from appliance.cli.completion import complete_session
from appliance.cli.help import Command
from appliance.supervisor.core.tracing import read_subject
from ipc.messages.trace import TraceReply, TraceRequest, Verdict

EXIT_NOWHERE: Final = 1
WITHIN: Final = 15.0
"""Seconds: several workers are asked, one after the other."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem trace 0fzLrmXbQJmVZ3vTn1aWkP2
  tandem trace 203.0.113.9:51820
  tandem trace "[2001:db8::9]:51820"
  tandem trace rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2 --json | jq -r .verdict""",
)
@appliance_options
@click.argument("what", metavar="UFRAG|SESSION|ADDRESS:PORT", shell_complete=complete_session)
@json_option
@click.pass_context
def command(context: click.Context, line: Line, what: str, as_json: bool) -> None:
    """Follow a ufrag, a session or a client to its end.

    A ufrag, the USERNAME of a check, or a session id is decoded with the host's keys; of a client's address
    the relays are asked. Says which worker, transceiver and session it leads to, or exactly why to none:
    unknown key, forged, another cluster, a boot that is over, no flow. The exit code is 0 if it leads to a
    session, else 1.
    """
    if read_subject(what) is None:
        raise click.BadParameter("is no ufrag, no session id (rtc_...) and no ADDRESS:PORT")
    reply = ask(line, TraceRequest(what), TraceReply, within=WITHIN)

    from appliance.cli import render
    from appliance.cli.views.trace import trace_view

    if as_json:
        click.echo(render.as_json(reply))
    else:
        render.show(trace_view(reply))
    if reply.verdict is not Verdict.LIVE:
        context.exit(EXIT_NOWHERE)
