"""The file of API keys: TOML, a name for each key and the key's hash, so that the file is no key itself.

    shop = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

A plain hash is enough for what is made by chance and long; docs/operations.md says how to make one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from config.lines import LineIndex
from config.problems import ConfigError, Problem, show_value

MAX_KEYS: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")


def parse_api_keys(text: str, *, source: str) -> dict[str, bytes]:
    """Name -> SHA-256 of the key; `source` names the file in messages. Raises only ConfigError."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError):
        what = 'is not lines of the form NAME = "sha256:..."'
        raise ConfigError([Problem(source, None, (), what)]) from None
    if problems := list(_problems(data, text, source)):
        raise ConfigError(problems)
    return {name: bytes.fromhex(value.partition(":")[2]) for name, value in data.items()}


def _problems(data: dict[str, Any], text: str, source: str) -> Iterator[Problem]:
    if len(data) > MAX_KEYS:
        yield Problem(source, None, (), f"has {len(data)} keys, at most {MAX_KEYS}")
        return
    lines = LineIndex(text)
    for name, value in data.items():
        what = ""
        if not _NAME.fullmatch(name):
            what = f"the name {show_value(name)} is not 1-64 of A-Z, a-z, 0-9, dot, _ and -"
        elif not isinstance(value, str) or not _HASH.fullmatch(value):
            # Never the value: it may be a key, by mistake.
            what = 'must be "sha256:" and 64 hex digits, the hash of the key'
        if what:
            yield Problem(source, lines.find((name,)), (name,), what)
