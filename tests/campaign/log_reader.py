"""Who reads the appliance's log from a pipe, as journald does, and sometimes does not."""

from __future__ import annotations

import fcntl
import os
import select
import threading
from pathlib import Path
from typing import Final

_PIPE: Final = 4096
"""Bytes that a pipe holds: little, so that it fills soon."""
_TICK: Final = 0.1


class LogReader:
    """Begins to read at once, in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._fifo = directory / "log.fifo"
        self._file = directory / "stderr"
        os.mkfifo(self._fifo)
        # Both ends: it does not wait for a writer, and does not end with the last one.
        self._end = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, _PIPE)
        self.reads = threading.Event()
        """Cleared: it does not, for a while."""
        self.reads.set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def prefix(self) -> tuple[str, ...]:
        """In front of a command whose standard error shall go there."""
        return ("sh", "-c", f'exec "$@" 2>"{self._fifo}"', "sh")

    def text(self) -> str:
        """All that was read, and what a supervisor said that was not told to write there."""
        return self._file.read_text(errors="replace")

    def close(self) -> None:
        """Read what is there, and end."""
        self.reads.set()
        self._over.set()
        self._thread.join()
        os.close(self._end)

    def _run(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            while True:
                self.reads.wait()
                readable, _, _ = select.select([self._end], [], [], _TICK)
                if readable:
                    file.write(os.read(self._end, _PIPE))
                elif self._over.is_set():
                    return
