"""Counters of the workers, published once a second on the bus."""

from __future__ import annotations

import msgspec

from config.ids import WorkerName
from ipc.messages.lifecycle import Tagged


class ProcessUsage(msgspec.Struct, frozen=True):
    """What a process has used so far."""

    cpu_seconds: float
    rss_bytes: int


class RelayStats(Tagged, frozen=True):
    """Law of conservation, on the client side: received = forwarded + upcalled + sum(dropped)."""

    worker: WorkerName
    usage: ProcessUsage
    received: int
    forwarded: int
    upcalled: int
    returned: int
    """Datagrams sent to clients."""
    dropped: dict[str, int]
    """By DropReason: client datagrams that went neither on nor up."""
    refused: dict[str, int]
    """By DropReason: upcalls and link records that the core ended."""
    flows: int
    pending: int
    assured_total: int
    conserved: bool
    """False if the law was ever seen broken: a bug in the relay."""


class EndpointStats(msgspec.Struct, frozen=True):
    """One end point of a back end, as one transceiver sees it."""

    live: bool
    sessions: int = 0
    name: str = ""
    """What it calls itself."""
    without_credit: int = 0
    """Chunks of audio that it was too slow for."""
    mistakes: dict[str, int] = {}
    """Items that were not heeded, by the `code` it was told (docs/backend.md)."""


class TransceiverStats(Tagged, frozen=True):
    """What a transceiver has seen."""

    worker: WorkerName
    usage: ProcessUsage
    sessions: int
    connected: int
    created_total: int
    closed: dict[str, int]
    """By CloseReason."""
    records_in: int
    records_out: int
    audio_in: int
    audio_out: int
    dropped: dict[str, int]
    messages_in: int = 0
    """Of data channels."""
    messages_out: int = 0
    message_bytes_in: int = 0
    message_bytes_out: int = 0
    chunks_resent: int = 0
    """Pieces of messages that the network lost, or that were thought lost."""
    backends: dict[str, dict[str, EndpointStats]] = msgspec.field(default_factory=dict)
    """By the name of the back end and its end point."""


class SignalingStats(Tagged, frozen=True):
    """What the HTTP worker has answered."""

    worker: WorkerName
    usage: ProcessUsage
    connections: int
    responses: dict[str, int]
    """By status code."""
    guarded: int
    """Connections that ended in an exception inside the HTTP library."""


class RealtimeStats(Tagged, frozen=True):
    """What a realtime worker has bridged."""

    worker: WorkerName
    usage: ProcessUsage
    calls: int
    calls_total: int
    failed: dict[str, int]
    """Calls that the server's failure has ended, by its code."""
    dropped: dict[str, int]
    """What was lost or not as it should be in calls that are over."""


class FleetStats(Tagged, frozen=True):
    """What a host knows of the others, and how it fares with Redis."""

    worker: WorkerName
    usage: ProcessUsage
    hosts: int
    """Other hosts that it knows, whatever their cluster."""
    fresh: int
    """Of them, heard of within the last seconds."""
    redis: str
    """For a human: `reached, 0.4 ms`, `away for 12 s: refused`, or empty where none is configured."""
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    """Requests that Redis did not fulfil, by reason."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """What other hosts are said to have said and was not believed, by reason."""


class SessionEvent(msgspec.Struct, frozen=True):
    """A line of a session's life: `created`, `connected`, `path`, `closed`."""

    session: str
    what: str
    detail: str = ""
    at: float = 0.0
    """Seconds since 1970."""


class SessionEvents(Tagged, frozen=True):
    """What has happened to sessions of that worker since it said so last, in order."""

    worker: WorkerName
    events: tuple[SessionEvent, ...]
