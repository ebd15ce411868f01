"""`tandem upgrade`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from appliance.cli.client import admin_socket, ask, runtime_option
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from appliance.cli.settings import config_option, find_file, read_config
from ipc.messages.admin import (
    ReloadReply,
    ReloadRequest,
    StatusReply,
    StatusRequest,
    UpgradeReply,
    UpgradeRequest,
)

ROLL_WITHIN: Final = 600.0
"""Seconds: workers are replaced one after the other, and some hosts have many."""
BACK_WITHIN: Final = 60.0
"""Seconds that the supervisor may take to come back; it takes one or two."""
LOOK_WITHIN: Final = 40.0
"""Seconds that the supervisor may take to look at what is installed."""
LOOK: Final = 0.2
EXIT_GIVEN_UP: Final = 1
_SERVES: Final = ("ready", "degraded", "cordoned")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  apt install ./tandem_NEWER.deb && tandem upgrade
  tandem upgrade --json""",
)
@config_option
@runtime_option
@click.option(
    "--force", is_flag=True, help="Also if what is installed calls itself the same version."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path | None, directory: Path | None, force: bool, as_json: bool) -> None:
    """Run the version that is installed now, without ending a call.

    First what is installed is asked whether it starts, can work with the configuration and understands the
    processes that run. Then the supervisor becomes it and adopts the workers as they are; then workers are
    replaced as by `tandem reload --roll`: new ones beside the old ones, which finish their sessions, relays
    one by one. If the first of a kind does not come up, the old ones go on (exit code 1): mend it and
    say `tandem upgrade` again, which goes on where it stopped.
    """
    socket = admin_socket(read_config(find_file(file)), directory)
    since = time.monotonic()

    def say(line: str) -> None:
        if not as_json:
            click.echo(line, err=True)

    def look() -> StatusReply:
        return ask(socket, StatusRequest(), StatusReply)

    def roll() -> ReloadReply:
        return ask(socket, ReloadRequest(roll=True), ReloadReply, within=ROLL_WITHIN)

    before, then = look(), time.monotonic()
    found = ask(socket, UpgradeRequest(force), UpgradeReply, within=LOOK_WITHIN)
    if found.problems:
        raise Failed(
            [*found.problems, f"nothing was changed; {found.running} goes on"], EXIT_GIVEN_UP
        )
    if found.leaving:
        say(f"{found.running} -> {found.installed}")
        status = _back(look, before.uptime, then)
        say(f"the supervisor runs {status.version}; workers: {', '.join(_running(status))}")
    else:
        status = before
    old = [worker.name for worker in status.workers if worker.release != status.version]
    outcome = ReloadReply()
    if found.leaving or [name for name in old if not _leaves(status, name)]:
        outcome = _roll(roll, look, say)
    status = look()
    finishing = {w.name: w.sessions for w in status.workers if w.state == "draining"}
    if as_json:
        from appliance.cli import render

        click.echo(
            render.as_json(
                {
                    "from": found.running,
                    "to": status.version,
                    "replaced": outcome.replaced,
                    "finishing": finishing,
                    "given_up": outcome.given_up or "; ".join(outcome.problems),
                    "seconds": round(time.monotonic() - since, 1),
                }
            )
        )
    else:
        for line in _summary(status, outcome, finishing):
            click.echo(line)
    if outcome.given_up or outcome.problems:
        why = outcome.given_up or "; ".join(outcome.problems)
        raise Failed(() if as_json else [f"tandem: given up: {why}"], EXIT_GIVEN_UP)


def _back(look: Callable[[], StatusReply], uptime: float, then: float) -> StatusReply:
    """The status of the supervisor that comes after the one that was up for `uptime` seconds at `then`."""
    while (asked := time.monotonic()) < then + BACK_WITHIN:
        with suppress(Failed):  # nobody answers for a moment
            status = look()
            if status.uptime < uptime + asked - then and status.state in _SERVES:
                return status
        time.sleep(LOOK)
    raise Failed(
        [
            f"tandem: the supervisor has not come back within {BACK_WITHIN:g} s; its workers serve on",
            "Its log says why: journalctl -u tandem",
        ],
        EXIT_GIVEN_UP,
    )


def _roll(
    roll: Callable[[], ReloadReply], look: Callable[[], StatusReply], say: Callable[[str], None]
) -> ReloadReply:
    """Have all workers replaced, and say what happens meanwhile."""
    outcome: list[ReloadReply | Failed] = []

    def wait() -> None:
        try:
            outcome.append(roll())
        except Failed as failed:
            outcome.append(failed)

    # Whoever interrupts us does not wait for the end of the roll.
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    seen: dict[str, tuple[str, int]] = {}
    while thread.is_alive():
        with suppress(Failed):  # a supervisor with much to do answers the next time
            rows = {w.name: (w.state, w.pid) for w in look().workers}
            for name, row in rows.items():
                if seen and seen.get(name) != row:
                    say(f"{name} {row[0]}")
            seen = rows
        thread.join(LOOK)
    (found,) = outcome
    if isinstance(found, Failed):
        raise found
    return found


def _running(status: StatusReply) -> list[str]:
    return [worker.name for worker in status.workers if worker.pid]


def _leaves(status: StatusReply, name: str) -> bool:
    return any(w.name == name and w.state == "draining" for w in status.workers)


def _summary(status: StatusReply, outcome: ReloadReply, finishing: dict[str, int]) -> Iterator[str]:
    if outcome.replaced:
        yield f"replaced: {', '.join(outcome.replaced)}"
    if finishing:
        left = ", ".join(f"{name} ({sessions})" for name, sessions in finishing.items())
        yield f"finishing their sessions: {left}"
    if not outcome.given_up and not outcome.problems:
        yield f"tandem {status.version} runs" + ("" if outcome.replaced else " already")
