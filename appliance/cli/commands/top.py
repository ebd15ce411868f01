"""`tandem top`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from appliance.cli.client import Line, appliance_options, ask
from appliance.cli.failure import Failed
from appliance.cli.help import Command
from ipc.messages.admin import SessionsRequest, StatusReply, StatusRequest
from ipc.messages.sessions import SessionList

if TYPE_CHECKING:
    from appliance.cli.rates import Frame, Meter

EVERY: Final = 1.0
"""Seconds between two looks; workers count that often."""
REFRESH: Final = 0.25
"""Seconds between two pictures, and the longest that a key waits."""
PATIENCE: Final = 2.0
"""Seconds for an answer."""
SESSIONS: Final = 2000
"""Sessions whose loss is looked at."""
_HINT: Final = "q quits"
_SIZE: Final = (100, 30)
_FONT: Final = re.compile(r"@font-face\s*\{[^}]*\}\s*")


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  tandem top
  tandem top --once
  tandem top --json | jq .totals.packets_in
  tandem top --seconds 60 --svg top.svg""",
)
@appliance_options
@click.option("--once", is_flag=True, help="Print one picture; that takes a second.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a second, a line each."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), metavar="S", help="End after so many seconds."
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="At the end write the last picture there.",
)
def command(line: Line, once: bool, as_json: bool, seconds: float | None, svg: Path | None) -> None:
    """Watch the appliance live: load, traffic, loss, with sparklines.

    "in" and "out" are datagrams from and to clients (relays), records (transceivers) or answers
    (signaling). "loss" is what is missing of the audio of clients in the last second, of the first 2000
    sessions. "drop/s" is what went no further: a few with every call that ends; which, and what each means,
    is in `tandem status --json` and docs/operations.md. Ends with q or Ctrl-C. Where standard output is no
    terminal it prints one picture. It waits for an appliance that goes away while it watches; if there is
    none at the start, the exit code is 69.
    """
    looks = _looks(line)
    next(looks)  # the first has no rates yet, or there is nobody to ask
    try:
        if as_json:
            _stream(looks, seconds)
        elif once or svg or not sys.stdout.isatty():
            _print_last(looks, seconds or 0.0, svg)
        else:
            _live(looks, seconds)
    except KeyboardInterrupt:
        pass


def _looks(line: Line) -> Iterator[tuple[Frame | None, str]]:
    """A frame a second, or what is wrong. Raises Failed only if the first look fails."""
    from appliance.cli.rates import Meter

    meter = Meter()
    yield _look(line, meter), ""
    last: Frame | None = None
    while True:
        try:
            last = _look(line, meter)
            yield last, ""
        except Failed as error:
            yield last, f"{error.lines[0]}; waiting for it"


def _look(line: Line, meter: Meter) -> Frame:
    status = ask(line, StatusRequest(), StatusReply, within=PATIENCE)
    try:
        sessions = ask(line, SessionsRequest(SESSIONS), SessionList, within=PATIENCE)
    except Failed:  # while no transceiver answers
        sessions = SessionList((), 0)
    return meter.look(status, sessions, time.time())


def _paced(
    looks: Iterator[tuple[Frame | None, str]], seconds: float | None
) -> Iterator[tuple[Frame | None, str]]:
    began = due = time.monotonic()
    while seconds is None or due - began < max(seconds, EVERY):
        due = max(due + EVERY, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        yield next(looks)


def _stream(looks: Iterator[tuple[Frame | None, str]], seconds: float | None) -> None:
    from appliance.cli import render

    for frame, problem in _paced(looks, seconds):
        if problem:
            click.echo(problem, err=True)
        elif frame is not None:
            click.echo(render.as_json(frame, indent=None))


def _print_last(
    looks: Iterator[tuple[Frame | None, str]], seconds: float, svg: Path | None
) -> None:
    from rich.console import Console

    from appliance.cli.views.top import top_view

    frame: Frame | None = None
    problem = ""
    for frame, problem in _paced(looks, seconds):  # noqa: B007 (the last counts)
        pass
    console = Console(highlight=False)
    if svg is not None:
        console = Console(
            highlight=False,
            record=True,
            width=_SIZE[0],
            file=StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
    elif not console.is_terminal:
        console = Console(highlight=False, width=_SIZE[0])
    width, height = console.size if console.is_terminal and svg is None else _SIZE
    if frame is not None:
        console.print(top_view(frame, width, height, problem))
    if svg is not None:
        # Whoever looks at the picture shall not have to ask a stranger for a font.
        drawn = _FONT.sub("", console.export_svg(title="tandem top"))
        svg.write_text(drawn, encoding="utf-8")


def _live(looks: Iterator[tuple[Frame | None, str]], seconds: float | None) -> None:
    from rich.console import Console
    from rich.live import Live

    from appliance.cli.views.top import top_view

    console = Console(highlight=False)
    frame, problem = next(looks)
    began = looked = time.monotonic()
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while seconds is None or time.monotonic() - began < seconds:
            if frame is not None:
                live.update(top_view(frame, *console.size, problem, _HINT), refresh=True)
            if pressed(REFRESH):
                return
            if time.monotonic() - looked >= EVERY:
                looked = time.monotonic()
                frame, problem = next(looks)


@contextmanager
def _keys() -> Iterator[_Pressed]:
    """Whether q was pressed within so many seconds; keys are read one by one meanwhile."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _Pressed(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Pressed(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _Pressed:
    """Waits for q."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, within: float) -> bool:
        import os
        import select

        if self._descriptor is None:
            time.sleep(within)
            return False
        if not select.select([self._descriptor], [], [], within)[0]:
            return False
        typed = os.read(self._descriptor, 64)
        return not typed or b"q" in typed.lower()
