"""A line of the log as people read it: when, how grave, who, what, and then the details."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


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
    head, what = f"{clock} {level:<7}", event
    details = " ".join(f"{name}={value}" for name, value in fields.items())
    if colours:
        head = f"{_DIM}{clock}{_PLAIN} {_COLOURS.get(level, '')}{level:<7}{_PLAIN}"
        what = f"{_BOLD}{event}{_PLAIN}"
        details = details and f"{_DIM}{details}{_PLAIN}"
    return "  ".join(filter(str.strip, (head, f"{worker:<13}", what, details)))
