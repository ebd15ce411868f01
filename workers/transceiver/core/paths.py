"""The paths of one session: what is known of each, and which of them carries media.

A check that passes MESSAGE-INTEGRITY proves that its sender has the password. It does not prove that
the sender is where the source address says: it can be captured and sent again from anywhere. So:

    (unknown) --our or their check verified--> verified --our check answered, DTLS done--> proven

A path that is not proven gets at most three times the bytes that came on it, and never the media of
a connected session.

Of the proven paths (of all, while none is) media goes on the one nominated last; before any
nomination on the newest. A path that has been silent loses its nomination to a proven one that is
not: after a NAT has rebound, most clients never nominate again.
"""

from __future__ import annotations

from collections.abc import Callable, ValuesView
from dataclasses import dataclass
from typing import Final

from config.ids import Instant
from workers.transceiver.core.generations import Generation
from workers.transceiver.core.interface import Path
from workers.transceiver.core.recurring import Recurring

MAX_PATHS: Final = 8
AMPLIFICATION: Final = 3
"""Bytes we send to an address that is not proven, per byte from it (as RFC 9000, 8)."""
SILENCE: Final = 7.0
"""Seconds. Longer than the longest time between two checks (RFC 7675: 5 s and 20 %)."""
MEDIA_SILENCE: Final = 2.0
"""Seconds, if the other path carries media: a client sends media on one path only."""


@dataclass(slots=True, eq=False)
class Check:
    """A request of ours that waits for its response."""

    transaction: bytes
    generation: Generation
    sent_at: Instant
    due: Instant
    """When to send it again or give it up."""
    interval: float
    attempts: int = 1
    nominates: bool = False


@dataclass(slots=True, eq=False)
class PathState:
    """What is known of one path."""

    path: Path
    verified: bool = False
    proven: bool = False
    bytes_received: int = 0
    bytes_sent: int = 0
    order: int = 0
    """Grows with each path that becomes valid: the newest has the highest."""
    nomination: int = 0
    """Grows with each nomination: the latest has the highest; 0 was never nominated."""
    generation: int = 0
    """Number of the newest credentials with which a check came, or was answered, on it."""
    active_at: Instant = 0.0
    """Last check, response or SRTP packet on it that was authenticated."""
    media_at: Instant = -MEDIA_SILENCE
    """Last authenticated SRTP packet that came on it while another path was selected."""
    check: Check | None = None
    next_check: Instant | None = None
    """When to begin a new check; None for never."""
    recurring: Recurring | None = None
    """The peer's last check, if it may come again in the same words."""

    def permits(self, size: int) -> bool:
        """True if so many more bytes may be sent there."""
        return self.proven or self.bytes_sent + size <= AMPLIFICATION * self.bytes_received

    def usable(self, *, connected: bool) -> bool:
        """True if media may go there."""
        return self.proven if connected else self.verified


class Paths:
    """A bounded set of paths, one of them selected."""

    def __init__(self) -> None:
        self.selected: PathState | None = None
        self.connected = False
        """The session has keys: from now on only proven paths are selected."""
        self._states: dict[Path, PathState] = {}
        self._orders = 0
        # Once per packet: the dictionary's own method.
        self.get: Callable[[Path], PathState | None] = self._states.get
        """What is known of a path."""

    def values(self) -> ValuesView[PathState]:
        """All of them, in order of arrival."""
        return self._states.values()

    def admit(self, path: Path, now: Instant) -> PathState | None:
        """The state of a path, new if need be; None if there is no room and none to make.

        Room is made by the unproven path that was active least recently, else by a proven one that
        has gone silent. The selected path always stays.
        """
        state = self._states.get(path)
        if state is not None:
            return state
        if len(self._states) >= MAX_PATHS:
            victims = [
                other
                for other in self._states.values()
                if other is not self.selected
                and (not other.proven or now - other.active_at > SILENCE)
            ]
            if not victims:
                return None
            del self._states[min(victims, key=lambda other: (other.proven, other.active_at)).path]
        state = self._states[path] = PathState(path, active_at=now)
        return state

    def verify(self, state: PathState) -> None:
        """A check of theirs or ours on it was authenticated."""
        if not state.verified:
            state.verified = True
            state.order = self._next_order()

    def nominate(self, state: PathState) -> None:
        """The controlling side wants it."""
        state.nomination = self._next_order()

    def select(self, now: Instant) -> bool:
        """Choose anew; True if the selected path is another one now."""
        chosen = self._choose(now)
        if chosen is self.selected:
            return False
        self.selected = chosen
        return True

    def _choose(self, now: Instant) -> PathState | None:
        usable = [s for s in self._states.values() if s.usable(connected=self.connected)]
        if not usable:
            return self.selected
        chosen = max(usable, key=lambda state: (state.proven, state.nomination, state.order))
        successors = [
            s for s in usable if s.proven and s is not chosen and _takes_over(s, chosen, now)
        ]
        if not successors:
            return chosen
        heir = max(successors, key=lambda state: (state.media_at, state.active_at))
        self.nominate(heir)
        return heir

    @property
    def orders(self) -> int:
        """The highest order and nomination given so far."""
        return self._orders

    def _next_order(self) -> int:
        self._orders += 1
        return self._orders


def _takes_over(other: PathState, chosen: PathState, now: Instant) -> bool:
    """True if `chosen` is silent while `other` is alive."""
    silent_for = now - chosen.active_at
    if silent_for > SILENCE:
        return now - other.active_at <= SILENCE
    return silent_for > MEDIA_SILENCE and now - other.media_at <= MEDIA_SILENCE
