"""What happens, as it happens: `tandem events`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ipc.messages.lifecycle import Tagged


class EventKind(StrEnum):
    """Whom an event is about."""

    APPLIANCE = "appliance"
    WORKER = "worker"
    SESSION = "session"
    RELOAD = "reload"


class OpsEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `tandem events`."""

    serial: int
    """Counts the events of this appliance from 1."""
    at: float
    """Seconds since 1970."""
    kind: EventKind
    what: str
    """A state (`ready`, `draining`), or what happened to a session (`created`, `connected`, `closed`)."""
    worker: str = ""
    session: str = ""
    detail: str = ""


class WatchEvents(Tagged, frozen=True):
    """What has happened after that number; answered when something has, or in time, with Events."""

    after: int | None = None
    """None: the newest that are kept, at once."""
    within: float = 10.0
    """Seconds."""
    limit: int = 500
    session: str = ""
    """Of this session only; likewise:"""
    worker: str = ""


class Events(Tagged, frozen=True):
    """Reply to WatchEvents. To go on, ask for what is after `serial`."""

    supervisor: int
    """Which run of it: from another one, numbers begin anew."""
    serial: int
    events: tuple[OpsEvent, ...] = ()
    lost: int = 0
    """Events after the number asked for that are no longer kept, whatever they were about."""
