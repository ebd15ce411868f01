"""A line of the log as people read it: when, how grave, who, what, and then the details."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


# C0, DEL and C1; and what changes the direction of the text around it.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """In one line, and with whatever a terminal would obey and not print as Python writes it.

    A client names its data channels, a back end itself, a server why it failed.
    """
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)


def line_for_people(
    at: float,
    level: str,
    worker: str,
    event: str,
    fields: Mapping[str, object],
    *,
    colours: bool = False,
) -> str:
    """`14:03:07 warning  relay-0        worker killed  of=relay-0 why=...`.

    `at` is in seconds since 1970, 0 if nobody knows; the clock shown is local. `colours` are a terminal's.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(at)) if at else " " * 8
    head, what, worker = f"{clock} {level:<7}", printable(event), printable(worker)
    details = " ".join(f"{name}={_detail(name, value)}" for name, value in fields.items())
    if colours:
        head = f"{_DIM}{clock}{_PLAIN} {_COLOURS.get(level, '')}{level:<7}{_PLAIN}"
        what = f"{_BOLD}{what}{_PLAIN}"
        details = details and f"{_DIM}{details}{_PLAIN}"
    return "  ".join(filter(str.strip, (head, f"{worker:<13}", what, details)))


def _detail(name: str, value: object) -> str:
    """A traceback has lines; nothing else may look as if it were one of the log's."""
    lines = str(value).split("\n") if name == "exception" else [str(value)]
    return "\n".join(map(printable, lines))
