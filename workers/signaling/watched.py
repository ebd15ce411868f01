"""A file of the operator's that counts as it is: read again when it has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from config.problems import ConfigError
from ipc.log import Logger

T = TypeVar("T")


class Watched(Generic[T]):
    """What the file says now. One that cannot be used leaves what the last said that could."""

    def __init__(
        self, path: Path, read: Callable[[Path], T], *, without: T, log: Logger, what: str
    ) -> None:
        """`read` raises OSError, ValueError or ConfigError; `without` is for before it first could.

        `what` is in the log, once for each state of a file that cannot be used.
        """
        self._path = path
        self._read = read
        self._log = log
        self._what = what
        self._seen: tuple[int, ...] = ()
        self._value = without
        self.now()

    def now(self) -> T:
        """What it says, or said when it last could be used."""
        seen: tuple[int, ...] = (-1,)
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._value = self._read(self._path)
        except (OSError, ValueError, ConfigError) as error:
            if seen != self._seen:
                why = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self._log.error("cannot be read; the last stays in force", what=self._what, why=why)
        self._seen = seen
        return self._value
