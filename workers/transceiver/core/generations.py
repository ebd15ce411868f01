"""The credentials of one session: those in use, and during an ICE restart those that follow (RFC 8445, 9).

A restart begins a new generation; the old one stays good until a pair of the new one is selected, so media
has a path all the time. There are never more than two: a restart before the last one came to a pair takes
its place.
"""

from __future__ import annotations

from typing import NamedTuple

from workers.transceiver.core.interface import IceCredentials


class Generation(NamedTuple):
    """One pair of credentials, as checks carry it."""

    number: int
    ufrag: str
    """Ours, which is the route to us."""
    expected_username: str
    """Of the peer's checks."""
    username: str
    """Of ours."""
    local_key: bytes
    """Signs the peer's checks and our answers."""
    remote_key: bytes
    """Signs our checks and the peer's answers."""

    @classmethod
    def of(cls, number: int, local: IceCredentials, remote: IceCredentials) -> Generation:
        """From what both descriptions say."""
        return cls(
            number,
            local.ufrag,
            f"{local.ufrag}:{remote.ufrag}",
            f"{remote.ufrag}:{local.ufrag}",
            local.password.encode(),
            remote.password.encode(),
        )


class Generations:
    """At most two: the one in use first."""

    __slots__ = ("_first", "_next")

    def __init__(self, local: IceCredentials, remote: IceCredentials) -> None:
        self._first = Generation.of(0, local, remote)
        self._next: Generation | None = None

    @property
    def newest(self) -> Generation:
        """What a restart has begun, or what is in use."""
        return self._next or self._first

    @property
    def restarting(self) -> bool:
        """A restart has begun and has no pair yet."""
        return self._next is not None

    def named(self, username: object) -> Generation | None:
        """The generation of a check of the peer with this USERNAME."""
        if username == self._first.expected_username:
            return self._first
        if self._next is not None and username == self._next.expected_username:
            return self._next
        return None

    def numbered(self, number: int) -> Generation:
        """The generation with that number; the newest if it is gone."""
        return self._first if number == self._first.number else self.newest

    def restart(self, local: IceCredentials, remote: IceCredentials) -> Generation | None:
        """Begin a new one; returns the one it replaces, if an earlier restart never came to a pair."""
        replaced = self._next
        self._next = Generation.of(self.newest.number + 1, local, remote)
        return replaced

    def settle(self) -> Generation | None:
        """The newest has a pair: from now on it is the only one. Returns the one that is dead."""
        if self._next is None:
            return None
        dead, self._first, self._next = self._first, self._next, None
        return dead
