"""Why the last sessions ended, for those who ask for one that is over."""

from __future__ import annotations

from typing import Final

from config.ids import SessionId
from ipc.messages.sessions import CloseReason

REMEMBERED: Final = 256
"""Sessions; the oldest is forgotten first."""


class Ended:
    """The last so many, and why."""

    __slots__ = ("_reasons",)

    def __init__(self) -> None:
        self._reasons: dict[SessionId, CloseReason] = {}

    def add(self, session: SessionId, reason: CloseReason) -> None:
        """That one is over."""
        if len(self._reasons) >= REMEMBERED:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[session] = reason

    def why(self, session: SessionId) -> CloseReason | None:
        """None if it never was, or is long over."""
        return self._reasons.get(session)
