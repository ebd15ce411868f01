"""The operator's file of API keys, read again when it has changed."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final

from config.api_keys import ApiKey, parse_api_keys
from ipc.log import Logger
from workers.signaling.watched import Watched

MIN_KEY: Final = 20
"""Characters: what is shorter can be guessed from its hash, and is never accepted."""
MAX_KEY: Final = 512


class ApiKeys:
    """Keys of the file as it is now; a file that cannot be used leaves those of the last that could."""

    def __init__(self, path: Path, log: Logger) -> None:
        """Whatever is wrong with the file: then nobody is let in, until it is put right."""
        self._file: Watched[dict[str, ApiKey]] = Watched(
            path, _read, without={}, log=log, what="api keys"
        )

    def find(self, presented: str, now: float) -> str | None:
        """Name of that key, or None. As long for every key of the file, so time tells nothing.

        `now`: seconds since 1970.
        """
        keys = self._file.now()
        if not MIN_KEY <= len(presented) <= MAX_KEY:
            return None
        digest, found = sha256(presented.encode("utf-8", "surrogatepass")).digest(), None
        for name, key in keys.items():
            if compare_digest(digest, key.digest):
                found = name
        return found if found is not None and _in_force(keys[found], now) else None

    def get(self, name: str, now: float) -> ApiKey | None:
        """What the key of that name may, if it is in force."""
        key = self._file.now().get(name)
        return key if key is not None and _in_force(key, now) else None


def _in_force(key: ApiKey, now: float) -> bool:
    return key.expires is None or now < key.expires


def _read(path: Path) -> dict[str, ApiKey]:
    return parse_api_keys(path.read_text(encoding="utf-8"), source=str(path))
