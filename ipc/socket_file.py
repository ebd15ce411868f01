"""A listening Unix socket at a path: nobody's place is taken, and its mode is right from the first moment.

`bind` of libzmq (and of most servers) removes whatever file is in the way, so a second server silently
takes the place of a living one. Here a lock beside the file says whether its owner lives: the kernel
drops the lock with the process, however it ends, and the file of a dead one is replaced.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Final

MAX_PATH: Final = 107
"""Bytes of a path in a socket address (sun_path without its NUL)."""
_BACKLOG: Final = 128
_FRESH: Final = ".new"


class EndpointError(Exception):
    """The end point cannot be bound or connected; the text says which and why."""


class EndpointInUse(EndpointError):
    """Another living process (or socket of this one) serves that path."""


class SocketFile:
    """Owns the path from construction until `leave`. Raises EndpointInUse, else OSError."""

    def __init__(self, path: Path, mode: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self._path = path
        self._lock_path = Path(f"{path}.lock")
        self._lock = self._take_lock()
        self.listener = socket.socket(socket.AF_UNIX, kind)
        """Non-blocking and listening. Whoever detaches it closes it."""
        try:
            self._listen(Path(f"{path}{_FRESH}"), mode)
        except BaseException:
            self._release()
            raise

    def leave(self) -> None:
        """Remove the file and let others in. The listener is closed unless somebody detached it."""
        self._path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        self.listener.close()
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)

    def _listen(self, fresh: Path, mode: int) -> None:
        self.listener.setblocking(False)
        fresh.unlink(missing_ok=True)
        # The file gets the mode of the descriptor, less the umask: never more than asked for.
        os.fchmod(self.listener.fileno(), mode)
        self.listener.bind(os.fspath(fresh))
        try:
            fresh.chmod(mode)
            self.listener.listen(_BACKLOG)
            fresh.rename(self._path)
        except OSError:
            fresh.unlink()
            raise

    def _take_lock(self) -> int:
        while True:
            lock = os.open(
                self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), self._lock_path.stat()):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise EndpointInUse(f"ipc://{self._path} is in use by a running process") from None
            except FileNotFoundError:
                pass
            # The owner left between our open and our lock and took the file along: once more.
            os.close(lock)


def ipc_path(endpoint: str) -> Path | None:
    """The file of an `ipc://` end point; None for other transports.

    Raises EndpointError if it is no end point, or too long a path.
    """
    scheme, separator, path = endpoint.partition("://")
    if not separator or not path:
        raise EndpointError(f"{endpoint!r} is not TRANSPORT://ADDRESS")
    if scheme != "ipc" or path.startswith(("@", "*")):
        return None
    size, room = len(os.fsencode(path)), MAX_PATH - len(_FRESH)
    if size > room:
        raise EndpointError(
            f"{endpoint}: the path has {size} bytes, at most {room} fit into a socket address;"
            " choose a shorter runtime directory"
        )
    return Path(path)
