"""`tandem sessions`, and `list`, `show` and `close` of it."""

from __future__ import annotations

from typing import Final

import click

from appliance.cli.client import Line, Reply, appliance_options, ask, expect, json_option, say
from appliance.cli.completion import complete_session
from appliance.cli.failure import Failed
from appliance.cli.help import Group
from config.ids import SessionId
from ipc.messages.admin import SessionsRequest
from ipc.messages.details import FindSession, SessionDetail
from ipc.messages.sessions import EndSession, SessionEnded, SessionList, SessionUnknown

EXIT_UNKNOWN: Final = 1
_limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 2_500),
    default=1000,
    show_default=True,
    help="Most sessions to list.",
)
_id_argument = click.argument("session", metavar="ID", shell_complete=complete_session)


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog="""\b
Examples:
  tandem sessions
  tandem sessions --json | jq '.rows[] | select(.lost > 0)'
  tandem sessions show rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem sessions close rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2 --reason "abusive\"""",
)
@appliance_options
@_limit_option
@json_option
@click.pass_context
def command(context: click.Context, line: Line, limit: int, as_json: bool) -> None:
    """List the live sessions, look at one, or end one.

    Without a command of its own it lists: "in" are packets of the client's audio, with what is missing of
    them, "out" those that it was sent, with what it reports as lost. A session id is a capability: whoever
    has it can end the session. The exit code is 69 if no appliance runs, 1 if it has no such session.
    """
    if context.invoked_subcommand is None:
        _list(line, limit, as_json)


@command.command(
    "list",
    short_help="List the live sessions.",
    epilog="""\b
Examples:
  tandem sessions list --limit 10""",
)
@appliance_options
@_limit_option
@json_option
def list_(line: Line, limit: int, as_json: bool) -> None:
    """List the live sessions, the oldest of each transceiver first.

    "in" are packets of the client's audio, with what is missing of them, "out" those that it was sent,
    with what it reports as lost.
    """
    _list(line, limit, as_json)


@command.command(
    short_help="Show all that is known of one.",
    epilog="""\b
Examples:
  tandem sessions show rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem sessions show rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2 --json | jq .paths""",
)
@appliance_options
@_id_argument
@json_option
def show(line: Line, session: str, as_json: bool) -> None:
    """Show all that a transceiver knows of one session.

    Its state, paths, codec, both directions, data channels, limits, and which back end has it. The exit
    code is 1 if there is no such session.
    """
    detail = _ask_about(line, FindSession(SessionId(session)), SessionDetail)

    from appliance.cli import render
    from appliance.cli.views.session import session_view

    if as_json:
        click.echo(render.as_json(detail))
    else:
        render.show(session_view(detail))


@command.command(
    short_help="End one.",
    epilog="""\b
Examples:
  tandem sessions close rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem sessions close rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2 --reason "abusive\"""",
)
@appliance_options
@_id_argument
@click.option("--reason", default="", metavar="TEXT", help="Why, for the log and for events.")
@json_option
def close(line: Line, session: str, reason: str, as_json: bool) -> None:
    """End one session, as its client would by hanging up.

    Its back end is told `hangup`. The exit code is 1 if there is no such session.
    """
    request = EndSession(SessionId(session), detail=f"operator: {reason}" if reason else "operator")
    ended = _ask_about(line, request, SessionEnded)
    if as_json:
        from appliance.cli import render

        click.echo(render.as_json(ended))
    else:
        click.echo(f"{session}: closed")


def _list(line: Line, limit: int, as_json: bool) -> None:
    sessions = ask(line, SessionsRequest(limit=limit), SessionList)

    from appliance.cli import render

    if as_json:
        click.echo(render.as_json(sessions))
    else:
        render.show(render.sessions_view(sessions))


def _ask_about(line: Line, question: FindSession | EndSession, expected: type[Reply]) -> Reply:
    reply = say(line, question)
    if isinstance(reply, SessionUnknown):
        over = f"it is over: {reply.reason}" if reply.reason else "it is long over, or never was"
        raise Failed([f"tandem: no session {reply.session}: {over}"], EXIT_UNKNOWN)
    return expect(line, reply, expected)
