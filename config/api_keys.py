"""The file of API keys: TOML, a name for each key and the key's hash, so that the file is no key itself.

    shop = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    [kiosk]
    hash = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
    scopes = ["secrets"]
    backends = ["agent"]
    sessions = 50
    calls_per_minute = 120
    expires = 2027-06-30

A plain hash is enough for what is made by chance and long; docs/operations.md says how to make one.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from config.lines import LineIndex
from config.problems import ConfigError, Problem, show_value

MAX_KEYS: Final = 1024
MAX_COUNT: Final = 1_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")


class Scope(StrEnum):
    """What a key may be used for."""

    CALLS = "calls"
    """Placing calls, changing and ending them."""
    SECRETS = "secrets"
    """Having client secrets made, with which others place calls."""


class Terms(NamedTuple):
    """What somebody may who has a key, or comes in place of one."""

    scopes: frozenset[Scope] = frozenset(Scope)
    backends: tuple[str, ...] = ()
    """The only ones that may be called; none: any."""
    sessions: int = 0
    """Calls at a time, those by its client secrets included; 0: as many as there is room for."""
    calls_per_minute: int = 0
    """New calls, likewise; 0: no limit of its own."""


class ApiKey(NamedTuple):
    """A line of the file."""

    digest: bytes
    """SHA-256 of the key."""
    terms: Terms = Terms()
    expires: float | None = None
    """Seconds since 1970 from which on it is none; a date is its first moment in UTC."""


def parse_api_keys(text: str, *, source: str) -> dict[str, ApiKey]:
    """The keys by name; `source` names the file in messages. Raises only ConfigError."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError):
        what = 'is not lines of the form NAME = "sha256:..."'
        raise ConfigError([Problem(source, None, (), what)]) from None
    if problems := list(_problems(data, text, source)):
        raise ConfigError(problems)
    return {name: _make(value) for name, value in data.items()}


def _make(value: str | dict[str, Any]) -> ApiKey:
    given: dict[str, Any] = {"hash": value} if isinstance(value, str) else dict(value)
    digest = bytes.fromhex(given.pop("hash").partition(":")[2])
    expires = given.pop("expires", None)
    if "scopes" in given:
        given["scopes"] = frozenset(map(Scope, given["scopes"]))
    if "backends" in given:
        given["backends"] = tuple(given["backends"])
    return ApiKey(digest, Terms(**given), expires and _moment(expires).timestamp())


def _moment(value: datetime.date) -> datetime.datetime:
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)


# --- what may be wrong: never the value of a hash in a message, it may be a key, by mistake ---------------

_IS_HASH: Final = 'must be "sha256:" and 64 hex digits, the hash of the key'


def _hash(value: object) -> str:
    return "" if isinstance(value, str) and _HASH.fullmatch(value) else _IS_HASH


def _scopes(value: object) -> str:
    known = {scope.value for scope in Scope}
    if isinstance(value, list) and value and all(isinstance(v, str) and v in known for v in value):
        return ""
    return f"must be a list of {' and '.join(sorted(known))}, one or both"


def _backends(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(v, str) and v for v in value):
        return ""
    return "must be a list of names of back ends"


def _count(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return ""
    return f"must be a whole number from 0 to {MAX_COUNT}"


def _expires(value: object) -> str:
    return "" if isinstance(value, datetime.date) else "must be a date, like 2027-06-30"


_FIELDS: Final[dict[str, Callable[[object], str]]] = {
    "hash": _hash,
    "scopes": _scopes,
    "backends": _backends,
    "sessions": _count,
    "calls_per_minute": _count,
    "expires": _expires,
}


def _problems(data: dict[str, Any], text: str, source: str) -> Iterator[Problem]:
    if len(data) > MAX_KEYS:
        yield Problem(source, None, (), f"has {len(data)} keys, at most {MAX_KEYS}")
        return
    lines = LineIndex(text)
    for name, value in data.items():
        for path, what in _complaints(name, value):
            yield Problem(source, lines.find(path), path, what)


def _complaints(name: str, value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    if not _NAME.fullmatch(name):
        yield (name,), f"the name {show_value(name)} is not 1-64 of A-Z, a-z, 0-9, dot, _ and -"
    elif not isinstance(value, dict):
        if what := _hash(value):
            yield (name,), what
    else:
        if "hash" not in value:
            yield (name,), f"has no hash: it {_IS_HASH}"
        for field, given in value.items():
            check = _FIELDS.get(field)
            what = check(given) if check else f"is none of {', '.join(_FIELDS)}"
            if what:
                yield (name, field), what
