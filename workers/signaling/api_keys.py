"""The operator's file of API keys, read again when it has changed."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final

from config.api_keys import parse_api_keys
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
        self._keys: dict[str, bytes] = {}
        self._refresh()

    def find(self, presented: str) -> str | None:
        """Name of that key, or None. As long for every key of the file, so time tells nothing."""
        self._refresh()
        if not MIN_KEY <= len(presented) <= MAX_KEY:
            return None
        digest, found = sha256(presented.encode("utf-8", "surrogatepass")).digest(), None
        for name, expected in self._keys.items():
            if compare_digest(digest, expected):
                found = name
        return found

    def __contains__(self, name: object) -> bool:
        """A key of that name is in force: what it asked for is, too."""
        self._refresh()
        return name in self._keys

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
