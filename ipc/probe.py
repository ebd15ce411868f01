"""Is anybody there? libzmq would try again and again in silence; a plain connect tells what is wrong."""

from __future__ import annotations

import os
import socket

from ipc.socket_file import ipc_path


class Unreachable(Exception):
    """Nobody answers on that end point."""


class NotAllowed(Unreachable):
    """Somebody may be there, but we may not connect."""


def probe(endpoint: str, within: float) -> None:
    """Raises Unreachable or NotAllowed, or TimeoutError after so many seconds."""
    where: str | tuple[str, int]
    path = ipc_path(endpoint)
    if path is not None:
        family, where, name = socket.AF_UNIX, os.fspath(path), str(path)
    elif endpoint.startswith("tcp://"):
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        where, name = (host, int(port)), endpoint
    else:
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(within)
        try:
            probe.connect(where)
        except TimeoutError:
            raise
        except PermissionError as error:
            raise NotAllowed(f"{name}: {error.strerror}") from None
        except OSError as error:
            raise Unreachable(f"{name}: {error.strerror or error}") from None
