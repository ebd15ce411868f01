"""journald's native protocol: one datagram a line, its fields one by one, so that
`journalctl -u tandem SESSION=rtc_...` finds what is said about a session.

    NAME=value\\n                      a value of one line
    NAME\\n <length, u64 LE> value\\n   any other
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "tandem"
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""By level, as syslog has them."""
MAX_VALUE: Final = 65_536
"""Bytes of one field; a longer one (a monstrous traceback) is cut."""
_OURS: Final = frozenset({"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "EVENT"})
_NOT_FIELDS: Final = frozenset({"event", "level", "exception", "timestamp", "pid"})
"""Said elsewhere, or known to journald anyway."""


def is_journal(fd: int, stream: str) -> bool:
    """That descriptor is the one to journald that `$JOURNAL_STREAM` tells of."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def fields_of(line: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a log line: its event and level, a message for people, and each of its values."""
    values = {key: str(value) for key, value in line.items() if key not in _NOT_FIELDS}
    told = " ".join(f"{key}={value}" for key, value in values.items() if key != "worker")
    message = f"{line.get('worker', IDENTIFIER)}: {line['event']} {told}".rstrip()
    if exception := line.get("exception"):
        message += f"\n{exception}"
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(PRIORITIES.get(str(line.get("level")), 6)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "EVENT": str(line["event"]),
    }
    return fields | {_name(key): value for key, value in values.items()}


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """The datagram."""
    parts: list[bytes] = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace")[:MAX_VALUE]
        if b"\n" in value:
            parts += (name.encode(), b"\n", struct.pack("<Q", len(value)), value, b"\n")
        else:
            parts += (name.encode(), b"=", value, b"\n")
    return b"".join(parts)


def _name(key: str) -> str:
    """As journald takes it: A-Z, 0-9 and _, beginning with a letter, 64 at most, and none of ours."""
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in key.upper()).strip("_")
    if name in _OURS or not name[:1].isalpha():
        name = f"TANDEM_{name}"
    return name[:64]


class JournalWriter:
    """Sends datagrams and never waits: what journald does not take at once is counted as dropped."""

    is_terminal: Final = False

    def __init__(self, path: str = SOCKET) -> None:
        """Raises OSError if nobody listens there."""
        self.dropped = 0
        """Lines lost so far."""
        self.unsaid = 0
        """Of these, the lines that no later line has told of yet."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def write(self, datagram: bytes) -> None:
        """Send a line, or count it as dropped."""
        try:
            self._socket.send(datagram, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # full, or journald is being restarted: its socket stays
            self.dropped += 1
            self.unsaid += 1
        else:
            self.unsaid = 0

    # structlog calls the wrapped logger by the name of the level.
    debug = info = warning = error = critical = exception = msg = write

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
