"""Counters of the workers, published on the bus once a second, or every other while nothing happens."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from config.ids import WorkerName
from ipc.messages.lifecycle import Tagged


class ProcessUsage(msgspec.Struct, frozen=True):
    """What a process has used so far."""

    cpu_seconds: float
    rss_bytes: int
    at: float = 0.0
    """When it was so, and all that is published beside it: seconds of CLOCK_MONOTONIC."""
    lost: dict[str, int] = {}
    """Messages from and to other processes that came to nothing, by why (`Lost` in ipc/lost.py)."""


class TcpStats(msgspec.Struct, frozen=True):
    """What a relay does over TCP.

    Laws: that of RelayStats, and accepted + taken = connections + sum(ended).
    """

    connections: int
    """That are open."""
    accepted: int
    ended: dict[str, int]
    """By why they ended (`Ending` in workers/relay/core/connections.py)."""
    received: int
    """Frames from clients; each is a datagram."""
    forwarded: int
    upcalled: int
    returned: int
    """Frames sent to clients."""
    dropped: dict[str, int]
    refused: dict[str, int]
    flows: int
    pending: int
    assured_total: int
    taken: int = 0
    """Connections that an earlier worker has left."""


class RelayStats(Tagged, frozen=True):
    """Of UDP. Law of conservation, on the client side: received = forwarded + upcalled + sum(dropped)."""

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
    """False if a law was ever seen broken, those of `tcp` among them: a bug in the relay."""
    tcp: TcpStats | None = None
    """The same over TCP; None if that is not served."""
    held: int = 0
    """Datagrams of strangers that wait for the flow cache now."""
    cache: dict[str, int] = msgspec.field(default_factory=dict)
    """Flows that the flow cache was asked about, found or missed, and what it was not told."""
    others: dict[str, dict[str, bool]] = msgspec.field(default_factory=dict)
    """A Global Relay's: the relays of each other cluster, and whether they answer."""

    @property
    def totals(self) -> tuple[int, int, int]:
        """Received from clients, returned to them, dropped: over UDP and TCP."""
        both: list[RelayStats | TcpStats] = [self]
        if self.tcp is not None:
            both.append(self.tcp)
        dropped = sum(sum(one.dropped.values()) + sum(one.refused.values()) for one in both)
        return sum(one.received for one in both), sum(one.returned for one in both), dropped


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
    before_accept: int = 0
    """Chunks of audio of its sessions that came before it had accepted them."""


ROUND_TRIP_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
JITTER_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25)
"""Seconds: upper ends of the buckets of histograms; one more bucket has what is beyond."""


class Histogram(msgspec.Struct, frozen=True):
    """How often a measured value was how large."""

    counts: tuple[int, ...]
    """By bucket, the last for what is beyond all bounds."""
    sum: float


class QualityStats(msgspec.Struct, frozen=True):
    """How audio fared, as RTCP reports of all sessions tell; ours are due every five seconds."""

    round_trip: Histogram
    """Seconds, at each report of a client."""
    jitter_in: Histogram
    """Seconds, of clients' streams, at each report of ours."""
    jitter_out: Histogram
    """Seconds, of our streams, at each report of a client."""
    lost_in: int
    """Packets of clients that never came."""
    lost_out: int
    """Packets of ours that never came, as clients report."""


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
    quality: QualityStats | None = None
    busy: float = 0.0
    """Share of its thread that media takes, from 0 to 1."""


class SignalingStats(Tagged, frozen=True):
    """What the HTTP worker has answered."""

    worker: WorkerName
    usage: ProcessUsage
    connections: int
    responses: dict[str, int]
    """By status code."""
    guarded: int
    """Connections that ended in an exception inside the HTTP library."""
    placed: dict[str, int] = msgspec.field(default_factory=dict)
    """Calls, by where: `here`, `elsewhere` on another host; `refused_elsewhere`: hosts asked in vain."""
    guests: dict[str, int] = msgspec.field(default_factory=dict)
    """Calls of other hosts: `placed`, `refused`."""
    secrets: dict[str, int] = msgspec.field(default_factory=dict)
    """Client secrets for one call: `spent`; `again`, refused; who could not be asked: `file_failed`,
    `fleet_silent`."""
    sidebands: dict[str, int] = msgspec.field(default_factory=dict)
    """WebSockets beside calls: `opened`, `refused`, `cut` because they were not read in time."""
    evicted: int = 0
    """Connections that were slow with their request when another one needed the place."""


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
    cache: dict[str, int] = msgspec.field(default_factory=dict)
    """Flows that were written, forgotten, found, missed or lost for want of room."""
    cache_waiting: int = 0
    """Flows that wait to be written."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """What other hosts are said to have said and was not believed, by reason."""


class TelemetryStats(Tagged, frozen=True):
    """What the worker behind the ops page has answered."""

    worker: WorkerName
    usage: ProcessUsage
    connections: int
    responses: dict[str, int]
    """By status code."""
    guarded: int
    """Connections that ended in an exception inside the HTTP library."""
    unanswered: int
    """Questions to the supervisor that had no answer in time."""
    evicted: int = 0
    """As in SignalingStats."""


WorkerStats: TypeAlias = (
    RelayStats | TransceiverStats | SignalingStats | RealtimeStats | FleetStats | TelemetryStats
)
"""What a worker publishes, whatever its role."""


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
