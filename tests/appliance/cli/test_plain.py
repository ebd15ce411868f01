"""Strangers choose the names of channels; operators look at them in a terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from appliance.cli.commands.events import line_of_event
from appliance.cli.loglines import parse_text, show
from appliance.cli.plain import escape
from ipc.log_line import printable
from ipc.messages.events import EventKind, OpsEvent
from tests.support.tree import ROOT

TITLE = "\x1b]0;owned\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("chat", "chat"),
        ("Grüße 👋", "Grüße 👋"),
        (TITLE, r"\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202eltr", r"\u202eltr"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_neither_markup_nor_controls_reach_the_terminal() -> None:
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=80, highlight=False).print(
        escape(f"[red]x[/]{TITLE}")
    )
    assert out.getvalue() == "[red]x[/]\\x1b]0;owned\\x07\n"


def test_a_log_has_the_lines_that_were_written() -> None:
    told = {"event": "server failed", "worker": "realtime-0", "why": f"no\n12:00:00 error{TITLE}"}
    line = show(parse_text(json.dumps(told)))
    assert "\n" not in line
    assert "\x1b" not in line
    told = {"event": "crashed", "exception": f"Traceback\n  File x{TITLE}"}
    line = show(parse_text(json.dumps(told)))
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_so_do_events() -> None:
    event = OpsEvent(1, 1.0, EventKind.SESSION, "closed", detail=f"by{TITLE}\nx")
    assert not {"\x1b", "\n"} & set(line_of_event(event))


def test_nobody_else_escapes_markup() -> None:
    files = (ROOT / "appliance").rglob("*.py")
    found = [
        file.name
        for file in files
        if "markup import" in file.read_text() or "import markup" in file.read_text()
    ]
    assert found == ["plain.py"]
