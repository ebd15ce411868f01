"""What a back end is to the transceiver: something that hears a session and speaks to it."""

from __future__ import annotations

from typing import Protocol

from config.ids import Instant
from workers.transceiver.core.interface import ForSession, FromSession


class Backend(Protocol):
    """Sans-IO: what a session says goes in, what is to be done with that session comes out."""

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """Take one output of a session of this back end, its SessionClosed the last."""
        ...
