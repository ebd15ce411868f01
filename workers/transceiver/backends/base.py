"""What a back end is to the transceiver: something that hears a session and speaks to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from config.ids import Instant, SessionId
from workers.transceiver.core.interface import (
    AudioReceived,
    Created,
    ForSession,
    FromSession,
    SendAudio,
)


class Away(Exception):
    """Nobody is there to take a session at the moment; the text says of what."""


class Unfit(Exception):
    """A back end cannot serve this session; the text says why, for whoever made the offer."""


class Backend(Protocol):
    """Sans-IO: what a session says goes in, what is to be done with that session comes out.

    Only `handle` must be written; the rest does nothing unless it is.
    """

    def begin(self, created: Created, now: Instant) -> None:
        """That session will be served; before anything of it. Raises Unfit or Away."""
        return

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """Take one output of a session of this back end, its SessionClosed the last."""
        ...

    def endpoint(self, session: SessionId) -> str:
        """Who else has that session now; empty if nobody does."""
        return ""

    def hear(
        self, session: SessionId, audio: AudioReceived, now: Instant
    ) -> list[ForSession] | None:
        """As `handle` of a frame, fifty times a second and session. None: nothing is to be done, and
        no time-out has changed."""
        return self.handle(FromSession(session, audio), now)

    def next_timeout(self, session: SessionId) -> Instant | None:
        """When `handle_timeout` has something to do for that session; asked after each call."""
        return None

    def play(self, session: SessionId, now: Instant) -> tuple[Sequence[SendAudio], Instant] | None:
        """As `handle_timeout`, if that sends audio and nothing else; and the next time-out.

        None: it does not, and nothing has been done yet.
        """
        return None

    def handle_timeout(self, session: SessionId, now: Instant) -> list[ForSession]:
        """Do what is due; it may be called when nothing is."""
        return []
