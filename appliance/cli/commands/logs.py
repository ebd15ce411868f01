"""`tandem logs`."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from appliance.cli.client import UNIT, Line, appliance_options, ask
from appliance.cli.completion import complete_session, complete_worker
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from appliance.cli.loglines import LEVELS, LogLine, Wanted, parse_entry, parse_text, show
from appliance.supervisor.problems import EXIT_UNAVAILABLE
from ipc.messages.admin import StatusReply, StatusRequest

EVERY: Final = 0.25
"""Seconds between two looks at a file that is followed."""
PATIENCE: Final = 2.0
_BACK: Final = 16 << 20
"""Bytes of a file, from its end, in which its last lines are looked for."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem logs
  tandem logs -f --level warning
  tandem logs -n 200 --session rtc_0_0fzLrmXbQJmVZ3vTn1aWkP2
  tandem logs --worker transceiver-0 --json | jq -r .event""",
)
@appliance_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option(
    "-n",
    "newest",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    metavar="N",
    help="How many of the last lines to begin with.",
)
@click.option(
    "--worker",
    default="",
    metavar="NAME",
    shell_complete=complete_worker,
    help="By it, or about it.",
)
@click.option(
    "--session", default="", metavar="ID", shell_complete=complete_session, help="About it."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="At least as severe.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(
    line: Line, follow: bool, newest: int, worker: str, session: str, level: str, as_json: bool
) -> None:
    """Show the log of the appliance: from the journal, or from the file that it goes to.

    Under systemd it is what journalctl has of the unit, read with its fields. Where the log goes to a
    terminal or another program, the command says so, and the exit code is 69. It is for the host itself:
    with --connect it says no.
    """  # fmt: skip
    if line.curve is not None:
        raise click.UsageError("logs are on the host itself: ssh HOST tandem logs")
    wanted = Wanted(worker, session, level)
    unit, pid = _unit_of(line)
    path = None if unit else _log_of(pid)
    try:
        for each in (
            _journal(unit, newest, wanted, follow)
            if path is None
            else _file(path, newest, wanted, follow)
        ):
            click.echo(json.dumps(each._asdict()) if as_json else show(each))
    except KeyboardInterrupt:
        pass


def _unit_of(line: Line) -> tuple[str, int]:
    """The unit that the appliance is or would be, if any; and its pid, 0 if it does not run."""
    try:
        pid = ask(line, StatusRequest(), StatusReply, within=PATIENCE).pid
    except Failed:
        return (UNIT if _is_loaded(UNIT) else ""), 0
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return "", pid
    match = re.search(r"/([^/\n]+\.service)", groups)
    # Started by hand in a session of somebody's it is in a scope, or in that of the login service.
    unit = match[1] if match is not None and "tandem" in match[1] else ""
    return (unit if shutil.which("journalctl") else ""), pid


def _is_loaded(unit: str) -> bool:
    if shutil.which("systemctl") is None or shutil.which("journalctl") is None:
        return False
    asked = ["systemctl", "show", "--property=LoadState", "--value", unit]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "loaded"


def _journal(unit: str, newest: int, wanted: Wanted, follow: bool) -> Iterator[LogLine]:
    # --all: a text of more than 4096 bytes, as a traceback may be, would be left out.
    command = ["journalctl", f"--unit={unit}", "--output=json", "--all", "--no-pager"]
    cursor, found = "", list[LogLine]()
    # From its end: a journal may have weeks in it.
    with subprocess.Popen([*command, "--reverse"], stdout=subprocess.PIPE, text=True) as past:
        for text in past.stdout or ():
            if (line := parse_entry(text)) is None:
                continue
            cursor = cursor or str(json.loads(text).get("__CURSOR", ""))
            if len(found) == newest:
                break
            if wanted.has(line):
                found.append(line)
        past.terminate()
    yield from reversed(found)
    if follow:
        since = [f"--after-cursor={cursor}"] if cursor else []
        with subprocess.Popen(
            [*command, "--follow", "--no-tail", *since], stdout=subprocess.PIPE, text=True
        ) as it:
            for text in it.stdout or ():
                if (line := parse_entry(text)) is not None and wanted.has(line):
                    yield line


def _log_of(pid: int) -> Path:
    """The file that standard error of the appliance is. Raises Failed with where else the log goes."""
    if not pid:
        lines = ["tandem: no appliance answers, and there is no unit of systemd for it here"]
        raise Failed(lines, EXIT_UNAVAILABLE)
    link = Path(f"/proc/{pid}/fd/2")
    try:
        target, mode = link.readlink(), link.stat().st_mode
    except OSError as error:
        why = f"tandem: where the log of process {pid} goes cannot be seen: {error.strerror}"
        raise Failed([why, "Ask as that user or as root."], EXIT_UNAVAILABLE) from None
    if stat.S_ISREG(mode):
        return link
    raise Failed([f"tandem: the log of process {pid} goes to {target}"], EXIT_UNAVAILABLE)


def _file(path: Path, newest: int, wanted: Wanted, follow: bool) -> Iterator[LogLine]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _BACK))
        rest = b""
        found: deque[LogLine] = deque(maxlen=newest)
        *whole, rest = file.read().split(b"\n")
        found.extend(filter(wanted.has, _parsed(whole)))
        yield from found
        while follow:
            if not (more := file.read()):
                time.sleep(EVERY)
                continue
            *whole, rest = (rest + more).split(b"\n")
            yield from filter(wanted.has, _parsed(whole))


def _parsed(lines: Iterable[bytes]) -> Iterator[LogLine]:
    return (parse_text(line.decode("utf-8", "replace")) for line in lines if line.strip())
