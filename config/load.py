"""TOML text -> Config, or every problem at once.

Two passes: pydantic checks each value by itself; `config.checks` then asks whether the values make
sense together. A value that failed the first pass is left at its default for the second, so that one
mistake does not hide another, and no complaint of the second pass rests on such a stand-in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from pydantic import ValidationError

from config.checks import find_contradictions
from config.findings import Finding
from config.lines import LineIndex
from config.model import Config
from config.problems import ConfigError, KeyPath, Problem
from config.wording import explain

_POSITION: Final = re.compile(r"\s*\((?:at line (\d+), column (\d+)|at end of document)\)$")


def load(text: str, *, source: str) -> Config:
    """Read a configuration; `source` names it in messages. Raises only ConfigError."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ConfigError([Problem(source, None, (), "is nested too deeply")]) from None
    except ValueError as error:
        raise ConfigError([_syntax_problem(error, text, source)]) from None
    findings = list(_find(data))
    if not findings:
        return Config.model_validate(data)
    lines = LineIndex(text)
    raise ConfigError(
        Problem(source, lines.find(finding.path), finding.path, finding.what)
        for finding in findings
    )


def _find(data: dict[str, Any]) -> Iterator[Finding]:
    wrong: set[KeyPath] = set()
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            finding = explain(detail)
            wrong.add(tuple(takewhile(lambda part: isinstance(part, str), finding.path)))
            yield finding
        config = Config.model_validate(_without(data, wrong))
    for finding in find_contradictions(config):
        if not any(finding.rests_on(path) for path in wrong):
            yield finding


def _without(data: dict[str, Any], wrong: set[KeyPath], table: KeyPath = ()) -> dict[str, Any]:
    """The data less every key that was refused; an array goes as a whole."""
    return {
        key: _without(value, wrong, (*table, key)) if isinstance(value, dict) else value
        for key, value in data.items()
        if (*table, key) not in wrong
    }


def _syntax_problem(error: ValueError, text: str, source: str) -> Problem:
    message = str(error)
    if position := _POSITION.search(message):
        what = message[: position.start()]
        if position[1]:
            return Problem(source, int(position[1]), (), f"{what} (column {position[2]})")
        last = text.count("\n", 0, len(text.rstrip())) + 1
        return Problem(source, last, (), what)
    return Problem(source, None, (), message)
