"""What this host says of itself: its beats, and which version of it they stand for."""

from __future__ import annotations

import msgspec

from ipc.messages.fleet import FleetHost
from workers.fleet.core.notice import Beat


class Own:
    """This host, as the others should see it."""

    def __init__(self, incarnation: int) -> None:
        """`incarnation`: a number that no earlier process of this host has had."""
        self._incarnation = incarnation
        self._count = 0
        self._sessions = 0
        self.version = 0
        """Of `host`: raised when anything but its number of sessions changes, or was wrong in Redis."""
        self.host: FleetHost | None = None
        """None until the supervisor has said it."""

    def describe(self, host: FleetHost) -> bool:
        """The supervisor's word. True if that is news for others."""
        lasting = msgspec.structs.replace(host, sessions=0)
        self._sessions = host.sessions
        if self.host == lasting:
            return False
        self.host = lasting
        self.version += 1
        return True

    def again(self) -> None:
        """What others could read of us was something else: whoever has read it reads again."""
        self.version += 1

    def beat(self) -> Beat | None:
        """One more sign of life; None as long as there is nothing to say."""
        if self.host is None:
            return None
        self._count += 1
        return Beat(self.host.host, self._incarnation, self.version, self._count, self._sessions)
