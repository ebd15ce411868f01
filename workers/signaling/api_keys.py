"""The operator's file of API keys, read again when it has changed."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final

from config.api_keys import ApiKey, parse_api_keys
from config.problems import ConfigError
from ipc.log import Logger

MIN_KEY: Final = 20
"""Characters: what is shorter can be guessed from its hash, and is never accepted."""
MAX_KEY: Final = 512


class ApiKeys:
    """Keys of the file as it is now; a file that cannot be used leaves those of the last that could."""

    def __init__(self, path: Path, log: Logger) -> None:
        """Whatever is wrong with the file: then nobody is let in, until it is put right."""
        self._path = path
        self._log = log
        self._seen: tuple[int, ...] = ()
        self._keys: dict[str, ApiKey] = {}
        self._refresh()

    def find(self, presented: str, now: float) -> str | None:
        """Name of that key, or None. As long for every key of the file, so time tells nothing.

        `now`: seconds since 1970.
        """
        self._refresh()
        if not MIN_KEY <= len(presented) <= MAX_KEY:
            return None
        digest, found = sha256(presented.encode("utf-8", "surrogatepass")).digest(), None
        for name, key in self._keys.items():
            if compare_digest(digest, key.digest):
                found = name
        return found if found is not None and self._in_force(found, now) else None

    def get(self, name: str, now: float) -> ApiKey | None:
        """What the key of that name may, if it is in force."""
        self._refresh()
        return self._in_force(name, now)

    def _in_force(self, name: str, now: float) -> ApiKey | None:
        key = self._keys.get(name)
        return None if key is None or (key.expires is not None and now >= key.expires) else key

    def _refresh(self) -> None:
        seen: tuple[int, ...] = (-1,)
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            keys = parse_api_keys(self._path.read_text(encoding="utf-8"), source=str(self._path))
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            if seen != self._seen:  # once for each state of the file
                why = error.strerror if isinstance(error, OSError) else str(error)
                self._log.error("api keys cannot be read; the last ones stay in force", why=why)
        else:
            self._keys = keys
        self._seen = seen
