"""Keys of CURVE, ZeroMQ's encryption, as text in files.

A key is 32 bytes in Z85: 40 characters (https://rfc.zeromq.org/spec/32/). A public key is no secret; a
secret one is in a file that only its owner may read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

KEY_CHARACTERS: Final = 40
_ALPHABET: Final = frozenset(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
_FORBIDDEN: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyPair(NamedTuple):
    """Of one end."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r})"


class ClientCurve(NamedTuple):
    """What a client needs: who it is, and whom it means."""

    own: KeyPair
    server: str
    """The server's public key."""


def is_key(text: str) -> bool:
    """Whether that may be one."""
    return len(text) == KEY_CHARACTERS and _ALPHABET.issuperset(text)


def read_public(path: Path) -> str:
    """A public key in a file. Raises OSError, or ValueError with what is wrong."""
    return _parse(path.read_text("ascii", "replace"))


def read_secret(path: Path) -> str:
    """A secret key in a file that is ours alone. Raises OSError, or ValueError with what is wrong."""
    with path.open("r", encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & _FORBIDDEN:
            raise ValueError(f"others may use it (mode {mode:04o}); chmod 0600")
        return _parse(file.read(256))


def _parse(text: str) -> str:
    key = text.strip()
    if not is_key(key):
        raise ValueError(f"does not hold a key: {KEY_CHARACTERS} characters of Z85")
    return key
