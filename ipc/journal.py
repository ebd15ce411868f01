"""Entries for systemd's journal with a priority and fields of their own, by its native protocol.

What comes by standard error alone has neither: `journalctl -p err` and `journalctl TANDEM_SESSION=...`
would find nothing. Source: systemd's "Native Journal Protocol", systemd.exec(5) for JOURNAL_STREAM.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import socket
import struct
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
FIELDS: Final = ("worker", "session", "of", "event")
"""What of a line becomes a field, TANDEM_WORKER and so on: what one looks lines up by. The rest is in the
text, since the journal indexes every value of every field."""
MAX_VALUE: Final = 65_536
"""Bytes of a value; a longer one (a monstrous traceback) is cut, so that an entry fits a datagram."""
READ_WITHIN: Final = 0.5
"""Seconds that a process which ends waits until its entries are read."""
_LOOK: Final = 0.001

_PRIORITY: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_ERROR: Final = 3


def is_journal(fd: int, environ: Mapping[str, str] = os.environ) -> bool:
    """What is written there goes to the journal: JOURNAL_STREAM names its device and inode."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def graver(line: str, fd: int = 2) -> str:
    """A line for standard error that says why a command failed: an error in the journal, too.

    `<3>` is sd-daemon(3), which the journal takes off.
    """
    return f"<{_ERROR}>{line}" if is_journal(fd) else line


def fields_of(event: Mapping[str, object]) -> dict[str, str]:
    """The entry's fields, all but its text."""
    level = str(event.get("level", "info"))
    fields = {"PRIORITY": str(_PRIORITY.get(level, _ERROR)), "SYSLOG_IDENTIFIER": "tandem"}
    named = ((name, event.get(name)) for name in FIELDS)
    return fields | {f"TANDEM_{name.upper()}": str(value) for name, value in named if value}


def encode(text: str, fields: Mapping[str, str]) -> bytes:
    """One entry: a datagram of `NAME=value` lines; a value that has lines has its length before it."""
    parts: list[bytes] = []
    for name, value in {"MESSAGE": text, **fields}.items():
        data = value.encode("utf-8", "backslashreplace")[:MAX_VALUE]
        if b"\n" in data:
            parts += (name.encode(), b"\n", struct.pack("<Q", len(data)), data, b"\n")
        else:
            parts += (name.encode(), b"=", data, b"\n")
    return b"".join(parts)


class JournalWriter:
    """Sends entries, never waits; what the journal has no room for is dropped and counted."""

    is_terminal: Final = False

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        self.dropped = 0
        """Entries lost so far because the journal was slow or gone."""
        self.unsaid = 0
        """Of these, the ones that no later entry has told of yet."""
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        atexit.register(self.finish)

    def write(self, text: str, fields: Mapping[str, str]) -> None:
        """Send one entry, or count it as dropped."""
        try:
            # By its name each time: a journal that was started anew may have another socket.
            self._socket.sendto(encode(text, fields), self._path)
            self.unsaid = 0
        except OSError:
            self.dropped += 1
            self.unsaid += 1

    # structlog calls the wrapped logger by the name of the level.
    debug = info = warning = error = critical = exception = msg = write

    def finish(self) -> None:
        """Wait a little until the journal has read it all.

        It looks up the unit of an entry by the process that sent it, and finds none if that is gone.
        """
        give_up = time.monotonic() + READ_WITHIN
        while self._unread() and time.monotonic() < give_up:
            time.sleep(_LOOK)

    def _unread(self) -> int:
        """Bytes, by the kernel's account."""
        if self._socket.fileno() < 0:
            return 0
        waiting = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4)
        return int.from_bytes(waiting, sys.byteorder)

    def close(self) -> None:
        """Nothing is written after it."""
        atexit.unregister(self.finish)
        self._socket.close()
