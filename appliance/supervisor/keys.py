"""The keys that seal routes into ufrags, of the operator or the host's own; and files of who may call."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from appliance.supervisor.own_keys import (
    FIRST_ID,
    KEY_LENGTH,
    keep_key,
    new_key,
    own_keys,
    path_of,
)
from appliance.supervisor.problems import CannotStart
from config.api_keys import parse_api_keys
from config.key_set import parse_key_set
from config.model import Config, UfragSection
from config.problems import ConfigError

_MAX_FILE: Final = 256
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP


class UfragKeys(NamedTuple):
    """Key id -> 16 bytes, and the id that new sessions use."""

    keys: dict[str, bytes]
    mint_with: str

    def __repr__(self) -> str:
        return f"UfragKeys(ids={sorted(self.keys)}, mint_with={self.mint_with!r})"


class Keyring:
    """The keys in force, and those that living transceivers have minted with: old ufrags stay readable."""

    def __init__(self, keys: UfragKeys) -> None:
        self.own = keys.mint_with
        """Id of the host's own key that mints, where the operator has named none."""
        self._keys = dict(keys.keys)

    def minting(self, section: UfragSection) -> str:
        """Id of the key for new sessions."""
        return section.mint_with or next(iter(section.keys), self.own)

    @property
    def keys(self) -> dict[str, bytes]:
        """Key id -> 16 bytes."""
        return dict(self._keys)

    def clash(self, wanted: UfragKeys) -> str:
        """Why these cannot be added: an id cannot name two keys. Empty if they can."""
        other = [each for each, key in wanted.keys.items() if self._keys.get(each, key) != key]
        if not other:
            return ""
        return f"ufrag.keys.{other[0]}: names another key than before; give the new one a new id"

    def add(self, wanted: UfragKeys) -> None:
        """Have these, too."""
        self._keys |= wanted.keys

    def drop(self, wanted: UfragKeys, in_use: Collection[str]) -> None:
        """Have only these, and what is still in use."""
        kept = {each: key for each, key in self._keys.items() if each in in_use}
        self._keys = kept | wanted.keys


def load_keys(section: UfragSection, state: Path) -> UfragKeys:
    """Read the operator's keys, or the host's own, made at first use.

    That the ids make sense together was checked with the configuration. Raises CannotStart with every
    problem of the files.
    """
    if not section.keys:
        return _load_own(state)
    keys: dict[str, bytes] = {}
    problems: list[str] = []
    for key_id, file in section.keys.items():
        path = f"ufrag.keys.{key_id}"
        try:
            keys[key_id] = _read_key(Path(file))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{path}: {file}: {why}")
    if problems:
        raise CannotStart(problems)
    return UfragKeys(keys, section.mint_with or next(iter(keys)))


def read_keys(section: UfragSection, state: Path) -> UfragKeys:
    """As `load_keys`, but makes none: where the host has no key yet, there are none."""
    if not section.keys and not path_of(state, FIRST_ID).exists():
        return UfragKeys({}, "")
    return load_keys(section, state)


def check_callers(config: Config) -> None:
    """See that signaling will be able to use its files of who may call. Raises CannotStart."""
    problems = [
        problem
        for key, file, parse in (
            ("signaling.api_keys", config.signaling.api_keys, parse_api_keys),
            ("auth.jwks_file", config.auth.jwks_file, parse_key_set),
        )
        if file
        for problem in public_file_problems(key, Path(file), parse)
    ]
    if problems:
        raise CannotStart(problems)


def public_file_problems(key: str, file: Path, parse: Callable[..., object]) -> list[str]:
    """Why the file that `key` names cannot be used. Anybody may read it, and its owner alone change it."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            return [f"{file}: others may change it (mode {mode:04o}); chmod 0640"]
        parse(file.read_text(encoding="utf-8"), source=str(file))
    except OSError as error:
        return [f"{key}: {file}: {error.strerror}"]
    except UnicodeDecodeError:
        return [f"{key}: {file}: is not UTF-8"]
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def _read_key(path: Path) -> bytes:
    """16 bytes, written as 32 hex digits. Raises OSError, or ValueError with what is wrong."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is not a file")
        if found.st_mode & _FORBIDDEN:
            mode = stat.S_IMODE(found.st_mode)
            raise ValueError(f"others may use it (mode {mode:04o}); chmod 0600")
        text = file.read(_MAX_FILE)
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        raise ValueError("does not hold hex digits") from None
    if len(key) != KEY_LENGTH:
        raise ValueError(f"holds {len(key)} bytes instead of {KEY_LENGTH}")
    return key


def _load_own(state: Path) -> UfragKeys:
    """The host's own; the first is made here. Two first starts at the same time agree on one."""
    path = state
    keys: dict[str, bytes] = {}
    try:
        found = own_keys(state)
        if not found:
            path = path_of(state, FIRST_ID)
            keep_key(path, new_key())
            found = own_keys(state)
        for key in found:
            path = key.path
            keys[key.id] = _read_key(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotStart([f"{path}: {why}"]) from None
    return UfragKeys(keys, found[-1].id)
