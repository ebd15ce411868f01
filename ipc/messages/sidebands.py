"""Signaling and transceiver: WebSockets of applications beside a call, which hear and say its events.

A signaling worker is one *reader* however many sockets it has: it opens and closes sidebands, and reads
what is for all of them together with one long request after another.
"""

from __future__ import annotations

import msgspec

from config.ids import Route, SessionId
from ipc.messages.lifecycle import Tagged
from ipc.messages.sessions import CloseReason


class OpenSideband(Tagged, frozen=True):
    """From now on that reader hears the events of the session. Opening it again changes nothing."""

    session: SessionId
    reader: str
    number: int
    """The reader's own, for this sideband and no other."""
    key: str = ""
    """Whose it is: the session must have been placed with the same."""


class TellSession(Tagged, frozen=True):
    """An event for the session's back end, as if the client had sent it."""

    session: SessionId
    reader: str
    number: int
    serial: int
    """Rising: an event that comes again is heeded once."""
    text: str


class CloseSideband(Tagged, frozen=True):
    """Nobody reads it any more."""

    session: SessionId
    reader: str
    number: int


class SidebandDone(Tagged, frozen=True):
    """Reply to these three."""

    session: SessionId


class ReadSidebands(Tagged, frozen=True):
    """What is for a reader's sidebands after that number, which is forgotten up to there."""

    reader: str
    after: int = 0
    within: float = 3.0
    """Seconds."""
    route: Route | None = None
    """Of the transceiver, where it is not itself that is asked."""


class SidebandEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """For that sideband: an event, or its end."""

    number: int
    text: str = ""
    closed: CloseReason | None = None
    """The session is over."""
    detail: str = ""
    cut: bool = False
    """There was more than is kept for a reader; nothing follows."""


class SidebandsRead(Tagged, frozen=True):
    """Reply to ReadSidebands; `serial` is the number of the last."""

    serial: int
    events: tuple[SidebandEvent, ...] = ()
    lapsed: bool = False
    """That reader has no sidebands here, or has not read for so long that they were closed."""
