"""Log lines as they come from the journal or a file, and which of them are wanted.

A line of ours is a JSON object; in the journal it is an entry's text, or its fields are the entry's own.
Whatever else is there (a traceback of the interpreter, a word of systemd) is a line without fields.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

from ipc.log_line import line_for_people

LEVELS: Final = ("debug", "info", "warning", "error")
_PRIORITIES: Final = {"7": "debug", "6": "info", "5": "info", "4": "warning"}
_HEAD: Final = frozenset({"event", "level", "timestamp", "worker", "pid"})


class LogLine(NamedTuple):
    """One."""

    at: float
    """Seconds since 1970; 0 if nobody says."""
    level: str
    worker: str
    event: str
    fields: dict[str, Any]
    """All others, as they were."""


class Wanted(NamedTuple):
    """What somebody wants to see; empty is everything."""

    worker: str = ""
    session: str = ""
    level: str = ""
    """At least that."""

    def has(self, line: LogLine) -> bool:
        """It is to be shown."""
        if self.level and LEVELS.index(line.level) < LEVELS.index(self.level):
            return False
        of = (line.worker, line.fields.get("of"))
        if self.worker and self.worker not in of:
            return False
        return not self.session or line.fields.get("session") == self.session


def parse_text(text: str) -> LogLine:
    """A line of a file."""
    return _line(_object(text) or {"event": text})


def parse_entry(text: str) -> LogLine | None:
    """An entry of `journalctl -o json`; None if it is none."""
    entry = _object(text)
    if entry is None:
        return None
    message = entry.get("MESSAGE") or ""
    if isinstance(message, list):  # bytes that are no UTF-8
        message = bytes(message).decode("utf-8", "replace")
    # What systemd adds begins with an underscore, and what a program says of itself does not.
    own = {name.lower().removeprefix("tandem_"): v for name, v in entry.items() if name[0] != "_"}
    fields: dict[str, Any] = {"event": message}
    fields |= {
        name: own[name] for name in ("event", "worker", "session", "of", "level") if name in own
    }
    fields |= _object(message) or {}
    if "level" not in fields:
        fields["level"] = _PRIORITIES.get(str(entry.get("PRIORITY", "6")), "error")
    if "timestamp" not in fields:
        fields["timestamp"] = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    return _line(fields)


def show(line: LogLine) -> str:
    """For people: `14:03:07 warning  relay-0  worker killed  who=relay-0:7 why=...`."""
    return line_for_people(line.at, line.level, line.worker, line.event, line.fields)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _line(fields: dict[str, Any]) -> LogLine:
    level = str(fields.get("level", "info"))
    return LogLine(
        _seconds(fields.get("timestamp")),
        level if level in LEVELS else "error",
        str(fields.get("worker", "")),
        str(fields.get("event", "")),
        {name: value for name, value in fields.items() if name not in _HEAD},
    )


def _seconds(timestamp: object) -> float:
    if isinstance(timestamp, int | float):
        return float(timestamp)
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0
