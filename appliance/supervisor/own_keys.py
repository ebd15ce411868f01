"""The host's own keys for ufrags: one made at the first start, more by `tandem keys rotate`.

The first is `ufrag.key` and has the id 0, the others `ufrag.key.ID`. The one that was made last mints.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

KEY_LENGTH: Final = 16
FIRST_ID: Final = "0"
KEPT: Final = 4
"""Keys; what the oldest had sealed is over when there are more."""
_FIRST: Final = "ufrag.key"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class OwnKey(NamedTuple):
    """One of them."""

    id: str
    path: Path
    made_at: float
    """Seconds since 1970."""


def own_keys(state: Path) -> list[OwnKey]:
    """Those that are there, the oldest first. Raises OSError."""
    # A key that was dropped is no file; the first is there unless it was.
    found = [
        OwnKey(key_id, path, path.stat().st_mtime)
        for key_id in _ALPHABET
        if (path := path_of(state, key_id)).exists()
    ]
    return sorted(found, key=lambda key: (key.path.stat().st_mtime_ns, _ALPHABET.index(key.id)))


def path_of(state: Path, key_id: str) -> Path:
    """Where the key with that id is kept."""
    return state / (_FIRST if key_id == FIRST_ID else f"{_FIRST}.{key_id}")


def next_id(taken: set[str], newest: str) -> str:
    """An id that names no key now: the one after the newest, if that is free."""
    start = _ALPHABET.index(newest) + 1
    order = _ALPHABET[start:] + _ALPHABET[:start]
    return next(key_id for key_id in order if key_id not in taken)


def new_key() -> bytes:
    """Nobody has had it."""
    return secrets.token_bytes(KEY_LENGTH)


def keep_key(path: Path, key: bytes) -> bool:
    """Write it, whole and for us alone; False if there is one already, which stays. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    write_private(draft, key.hex() + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, and that is on disk when this returns."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
