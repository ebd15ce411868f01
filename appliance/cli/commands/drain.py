"""`tandem drain`."""

from __future__ import annotations

import time
from typing import Final

import click

from appliance.cli.client import EXIT_USAGE, Line, appliance_options, ask, json_option
from appliance.cli.completion import complete_worker
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from config.ids import Role
from ipc.messages.admin import CordonRequest, StatusReply, StatusRequest

EXIT_NOT_YET: Final = 1
LOOK: Final = 1.0
"""Seconds between two looks: what workers say of themselves is that old."""
SETTLED: Final = 1.5
"""Seconds until what workers say was certainly counted after the drain: a call that began just before it is
in there."""
HOST: Final = "host"


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem drain                                  # the whole host
  tandem drain --until 0 --deadline 600
  tandem drain transceiver-1 --until 5
  tandem drain --until 0 && systemctl stop tandem""",
)
@click.argument("what", nargs=-1, metavar="[TRANSCEIVER]...", shell_complete=complete_worker)
@appliance_options
@click.option(
    "--until", type=click.IntRange(min=0), help="Wait until at most so many sessions are left."
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer than that (exit code 1). Without --until: for the last session.",
)
@json_option
def command(
    line: Line,
    what: tuple[str, ...],
    until: int | None,
    deadline: float | None,
    as_json: bool,
) -> None:
    """Take no new sessions; those that there are go on.

    Without a name, or with "host": offers to this host are answered 503 with Retry-After, and /readyz is
    503, so that balancers send them elsewhere. With names: only these transceivers take none. Nothing ends:
    the processes stay, and `tandem undrain` takes it back. It holds through a restart of the supervisor,
    until the appliance ends. The exit code is 2 if there is no such transceiver.
    """
    names = () if set(what) <= {HOST} else what
    status = ask(line, CordonRequest(names), StatusReply, refused=EXIT_USAGE)
    since = time.monotonic()
    if deadline is not None and until is None:
        until = 0
    said = None
    while until is not None:
        left, waited = sessions_left(status, names), time.monotonic() - since
        if left > until and left != said and not as_json:
            click.echo(f"{left} session{'' if left == 1 else 's'} left", err=True)
        said = left
        if (left <= until and waited >= SETTLED) or (deadline is not None and waited >= deadline):
            break
        time.sleep(LOOK)
        status = ask(line, StatusRequest(), StatusReply)
    left = sessions_left(status, names)
    seconds = round(time.monotonic() - since, 1)

    from appliance.cli import render

    if as_json:
        click.echo(
            render.as_json({"drained": names or (HOST,), "sessions": left, "seconds": seconds})
        )
    else:
        verb = "takes" if len(names) < 2 else "take"
        click.echo(f"{', '.join(names) or 'this host'} {verb} no new sessions, {left} left")
    if until is not None and left > until:
        raise Failed((), EXIT_NOT_YET)


def sessions_left(status: StatusReply, names: tuple[str, ...]) -> int:
    """Of those transceivers, or of all."""
    prefix = f"{Role.TRANSCEIVER.label}-"
    return sum(
        worker.sessions
        for worker in status.workers
        if (worker.name in names if names else worker.name.startswith(prefix))
    )
