"""What systemd keeps for us: sockets and tables, should everybody who has them die at once.

Workers that live bring the same themselves, and come first. Each descriptor has a name, and several may
have the same; the store has, by name, what was given last. When the appliance is told to end it is emptied:
the next start is one by the operator's file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Final

from appliance.supervisor.notify import notify

_FIRST: Final = 3
"""SD_LISTEN_FDS_START."""
_AT_ONCE: Final = 200
"""Descriptors in one datagram; the kernel takes 253."""


class Store:
    """Our part of the store."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[int, ...]] = {}
        self._ended = False

    def found(self, names: Collection[str]) -> None:
        """An earlier process has left something there by these names: it goes when `keep` is called."""
        self._given = dict.fromkeys(names, (-1,))

    def keep(self, wanted: Mapping[str, Sequence[int]]) -> None:
        """Have exactly these in it."""
        if self._ended:
            return
        for name in self._given.keys() | wanted.keys():
            fds = tuple(wanted.get(name, ()))
            if fds == self._given.get(name, ()):
                continue
            notify("FDSTOREREMOVE=1", f"FDNAME={name}")
            for start in range(0, len(fds), _AT_ONCE):
                # FDPOLL=0: a socket with an error pending, as after a client went away, is no dead one.
                part = fds[start : start + _AT_ONCE]
                notify("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", fds=part)
        self._given = {name: tuple(fds) for name, fds in wanted.items() if fds}

    def end(self) -> None:
        """Have nothing in it from now on."""
        self.keep({})
        self._ended = True


def take_stored(environ: MutableMapping[str, str] = os.environ) -> list[tuple[str, int]]:
    """Name and descriptor of all that was kept; ours from now on, and not our workers'.

    The second time there is none: a program that takes our place, as in an upgrade, has other descriptors.
    """
    for_us = environ.pop("LISTEN_PID", "") == str(os.getpid())
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    number = environ.pop("LISTEN_FDS", "0") if for_us else "0"
    if not (number.isascii() and number.isdigit()):
        return []
    stored = []
    for fd in range(_FIRST, _FIRST + int(number)):
        os.set_inheritable(fd, False)
        stored.append((names[fd - _FIRST] if fd - _FIRST < len(names) else "", fd))
    return stored
