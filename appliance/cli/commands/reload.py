"""`tandem reload`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from appliance.cli.client import Line, appliance_options, ask, json_option
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from appliance.supervisor.problems import EXIT_CONFIG
from config.change import Effect
from ipc.messages.admin import ReloadReply, ReloadRequest

WITHIN: Final = 600.0
"""Seconds: workers are replaced one after the other, and some hosts have many."""
EXIT_GIVEN_UP: Final = 1


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem reload
  tandem reload --roll
  tandem config check && tandem reload""",
)
@appliance_options
@click.option("--roll", is_flag=True, help="Replace all workers even if nothing asks for it.")
@json_option
def command(line: Line, roll: bool, as_json: bool) -> None:
    """Let the appliance read its configuration again.

    It is the file that it was started with. Workers are added, removed or replaced if a changed key asks
    for it; live calls do not notice. A transceiver that is replaced finishes its sessions beside its
    successor, for supervisor.roll_timeout at most. A replacement begins with one worker of each kind, the
    canary: if it does not come up, everything stays as it was (exit code 1). A file with a mistake changes
    nothing (exit code 78). Some keys take effect at the next start only: they are named, and the others are
    applied. `tandem config diff` says all that beforehand.
    """
    reply = ask(line, ReloadRequest(roll=roll), ReloadReply, within=WITHIN)
    if as_json:
        from appliance.cli import render

        click.echo(render.as_json(reply))
    else:
        for text in summary(reply):
            click.echo(text)
    if reply.problems:
        raise Failed(() if as_json else (*reply.problems, "nothing was changed"), EXIT_CONFIG)
    if reply.given_up:
        raise Failed(() if as_json else [f"tandem: given up: {reply.given_up}"], EXIT_GIVEN_UP)


def summary(reply: ReloadReply) -> Iterator[str]:
    """What came of it, a line a fact; problems are for standard error and not in it."""
    if reply.problems:
        return
    for change in reply.changes:
        waits = ", at the next start" if change.effect == Effect.RESTART else ""
        yield f"{change.key}: {change.old} -> {change.new}{waits}"
    if reply.added:
        yield f"added: {', '.join(reply.added)}"
    if reply.removed:
        yield f"removed, as soon as their sessions are over: {', '.join(reply.removed)}"
    if reply.replaced:
        yield f"replaced: {', '.join(reply.replaced)}"
    if not any((reply.changes, reply.added, reply.removed, reply.replaced, reply.given_up)):
        yield "nothing has changed"
