"""`tandem events`."""

from __future__ import annotations

import time
from typing import Final

import click

from appliance.cli.client import Line, appliance_options, ask
from appliance.cli.completion import complete_session, complete_worker
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from ipc.log_line import printable
from ipc.messages.events import Events, OpsEvent, WatchEvents

WAIT: Final = 20.0
"""Seconds that a question stays open."""
AGAIN: Final = 1.0
"""Seconds between two looks for an appliance that has gone."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem events
  tandem events --follow
  tandem events -f --session rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem events -f --json | jq -r 'select(.what == "closed") | .detail'""",
)
@appliance_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "-n",
    "newest",
    type=click.IntRange(0, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many of the past to begin with.",
)
@click.option(
    "--session", default="", metavar="ID", shell_complete=complete_session, help="Of one only."
)
@click.option(
    "--worker", default="", metavar="NAME", shell_complete=complete_worker, help="Of one only."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object an event, a line each."
)
def command(
    line: Line, follow: bool, newest: int, session: str, worker: str, as_json: bool
) -> None:
    """Show what has happened: to the appliance, to workers, to sessions.

    The appliance keeps some thousands of events. With --follow the command outlives it: it waits for the
    next one, and says so on standard error. If more happened than could be kept or followed, it says how
    many events are missing.
    """
    question = WatchEvents(None, WAIT, newest, session, worker)
    reply = ask(line, question, Events)
    _print(reply, as_json)
    while follow:
        question = WatchEvents(reply.serial, WAIT, 1000, session, worker)
        reply = what_follows(line, question, reply)
        if reply.lost:
            click.echo(f"({reply.lost} events are missing here)", err=True)
        _print(reply, as_json)


def what_follows(line: Line, question: WatchEvents, last: Events) -> Events:
    """What follows, of this appliance or of the one after it, from its first event on."""
    gone = False
    while True:
        try:
            reply = ask(line, question, Events, within=WAIT + 5)
        except Failed:
            if not gone:
                click.echo("(no appliance answers; waiting for one)", err=True)
            gone = True
            time.sleep(AGAIN)
            continue
        if reply.supervisor == last.supervisor:
            return reply
        question, last = WatchEvents(0, 0, 1000, question.session, question.worker), reply


def _print(reply: Events, as_json: bool) -> None:
    if as_json:
        from appliance.cli import render

        for event in reply.events:
            click.echo(render.as_json(event, indent=None))
        return
    for event in reply.events:
        click.echo(line_of_event(event))


def line_of_event(event: OpsEvent) -> str:
    """`14:03:07.250  session  rtc_0_x  closed  hangup  (transceiver-0)`."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    of = event.session or event.worker
    where = f"({event.worker})" if event.session and event.worker else ""
    parts = (event.kind.value.ljust(9), of, event.what, event.detail, where)
    line = "  ".join(filter(None, parts))
    return f"{clock}.{int(event.at * 1000) % 1000:03d}  {printable(line)}"
