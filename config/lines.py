"""Which line of a TOML text a key or an array element stands on; tomllib does not say.

Only for texts that tomllib has accepted, so the scanner follows the grammar without checking it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

from config.problems import KeyPath

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=,.\n]"
    r"|[^\s\[\]{}=,.\#\"']+",
    re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    line: int


_END: Final = _Token("", 0)


class LineIndex:
    """Lines by key path, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._arrays: dict[KeyPath, int] = {}
        self._tokens = _tokens(text)
        self._token = next(self._tokens, _END)
        self._scan()

    def find(self, path: KeyPath) -> int | None:
        """Line of that key, else of the nearest table around it, else None."""
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(path[:length])) is not None:
                return line
        return None

    def _scan(self) -> None:
        table: KeyPath = ()
        while self._token is not _END:
            if self._token.text == "\n":
                self._advance()
            elif self._token.text == "[":
                table = self._header()
            else:
                self._assignment(table)

    def _header(self) -> KeyPath:
        line = self._advance().line
        is_array = self._token.text == "["
        if is_array:
            self._advance()
        table = self._resolve(self._key(until="]"), line)
        self._advance()
        if is_array:
            self._advance()
            index = self._arrays.get(table, -1) + 1
            self._arrays[table] = index
            table = (*table, index)
        self._lines[table] = line
        return table

    def _resolve(self, key: KeyPath, line: int) -> KeyPath:
        """`[a.b]` after `[[a]]` is a table in the newest element of `a`."""
        path: KeyPath = ()
        for depth, part in enumerate(key):
            path = (*path, part)
            self._lines.setdefault(path, line)
            if depth < len(key) - 1 and path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _assignment(self, table: KeyPath) -> None:
        line = self._token.line
        path = table
        for part in self._key(until="="):
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._advance()
        self._value(path)

    def _key(self, *, until: str) -> KeyPath:
        parts: list[str] = []
        while self._token.text not in (until, ""):
            text = self._advance().text
            if text != ".":
                parts.append(_unquote(text))
        return tuple(parts)

    def _value(self, path: KeyPath) -> None:
        if self._token.text == "[":
            self._advance()
            self._array(path)
        elif self._token.text == "{":
            self._advance()
            self._inline_table(path)
        else:
            self._advance()
            while self._token.text not in (",", "]", "}", "\n", ""):
                self._advance()

    def _array(self, path: KeyPath) -> None:
        index = 0
        while self._token.text not in ("]", ""):
            if self._token.text in (",", "\n"):
                self._advance()
            else:
                self._lines[*path, index] = self._token.line
                self._value((*path, index))
                index += 1
        self._advance()

    def _inline_table(self, path: KeyPath) -> None:
        while self._token.text not in ("}", ""):
            if self._token.text in (",", "\n"):
                self._advance()
            else:
                self._assignment(path)
        self._advance()

    def _advance(self) -> _Token:
        token, self._token = self._token, next(self._tokens, _END)
        return token


def _tokens(text: str) -> Iterator[_Token]:
    line, seen = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        if not match[0].startswith("#"):
            yield _Token(match[0], line)


def _unquote(key: str) -> str:
    if key.startswith(('"', "'")):
        (name,) = tomllib.loads(f"{key} = 0")
        return name
    return key
