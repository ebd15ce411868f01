"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""`("relay", "listen", 1)`: table names, key names and positions in arrays."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_CLIP: Final = 60


class Problem(NamedTuple):
    """One mistake: where it is and what to do about it."""

    source: str
    """Name of the file, as the operator gave it."""
    line: int | None
    path: KeyPath
    what: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (place, show_path(self.path), self.what) if part)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(map(str, self.problems)))


def show_path(path: KeyPath) -> str:
    """Write a path as an operator would: `relay.listen[1]`, `ufrag.keys."a b"`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else show_value(part, quote='"')
            text += f".{name}" if text else name
    return text


def show_value(value: object, *, quote: str = "'") -> str:
    """Write what was found, short enough for one line of a terminal and without control characters."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            clipped = value if len(value) <= _CLIP else value[:_CLIP] + "..."
            printable = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in clipped)
            return f"{quote}{printable}{quote}"
        case int() if value.bit_length() > 128:
            return "a very large number"
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "an array"
        case _:
            return str(value)  # a TOML date or time
