"""A status with every kind of worker in it, as the supervisor tells it."""

from __future__ import annotations

from typing import Final

from config.ids import Endpoint, WorkerName
from ipc.messages.admin import SpareStatus, StatusReply, WorkerStatus
from ipc.messages.stats import (
    JITTER_BOUNDS,
    ROUND_TRIP_BOUNDS,
    EndpointStats,
    FleetStats,
    Histogram,
    ProcessUsage,
    QualityStats,
    RealtimeStats,
    RelayStats,
    SignalingStats,
    TcpStats,
    TelemetryStats,
    TransceiverStats,
    WorkerStats,
)

PUBLIC: Final = Endpoint("192.0.2.1", 3478)


def used(at: float, cpu: float = 0.0) -> ProcessUsage:
    """What a process has used by then."""
    return ProcessUsage(cpu, 50 * 2**20, at, {"request_overloaded": 1})


def histogram(bounds: tuple[float, ...], *counts: int, total: float = 0.0) -> Histogram:
    """The first of its buckets; the others are empty."""
    return Histogram((*counts, *(0 for _ in range(len(bounds) + 1 - len(counts)))), total)


def relay(at: float, received: int = 0, cpu: float = 0.0, **dropped: int) -> RelayStats:
    """A relay that forwards two thirds of what it neither drops."""
    rest = received - sum(dropped.values())
    return RelayStats(
        WorkerName("relay-0"), used(at, cpu), received, rest * 2 // 3, rest - rest * 2 // 3,
        returned=received // 2, dropped=dropped, refused={"queue_full": 1}, flows=9, pending=2,
        assured_total=7, conserved=True, held=1, cache={"found": 2},
        others={"7": {"10.7.0.1:3479": True}},
        tcp=TcpStats(3, 7, {"left": 6}, received=20, forwarded=15, upcalled=5, returned=8, dropped={},
                     refused={"stale_label": 1}, flows=2, pending=1, assured_total=3, taken=2),
    )  # fmt: skip


def fleet(at: float) -> FleetStats:
    """A fleet worker that knows three hosts and has a flow cache."""
    return FleetStats(
        WorkerName("fleet-0"), used(at), 3, 2, "reached", {"x": 1}, {"written": 5}, 4, {"y": 2}
    )


def transceiver(
    at: float, created: int = 0, audio: int = 0, quality: QualityStats | None = None
) -> TransceiverStats:
    """A transceiver with three sessions and a back end elsewhere."""
    return TransceiverStats(
        WorkerName("transceiver-0"), used(at), sessions=3, connected=2, created_total=created,
        closed={"hangup": 4}, records_in=50, records_out=60, audio_in=audio, audio_out=audio,
        dropped={"srtp_replay": 5}, messages_in=1, messages_out=2, message_bytes_in=30,
        message_bytes_out=40, chunks_resent=6,
        backends={"agent": {"ipc:///a": EndpointStats(True, 2, "Agent", 8, {"malformed": 9})}},
        quality=quality or quality_of(),
    )  # fmt: skip


def quality_of(
    trips: tuple[int, ...] = (), total: float = 0.0, lost_in: int = 0, lost_out: int = 0
) -> QualityStats:
    """Round trips by bucket and their sum, and losses."""
    still = histogram(JITTER_BOUNDS, 4, total=0.002)
    trip = histogram(ROUND_TRIP_BOUNDS, *trips, total=total)
    return QualityStats(trip, still, still, lost_in, lost_out)


def row(stats: object, pid: int = 5, state: str = "ready", note: str = "native") -> WorkerStatus:
    """A worker's row with these statistics."""
    assert isinstance(stats, WorkerStats)
    return WorkerStatus(stats.worker, state, pid, None, 1, 9.0, 3, note, stats)


def status_of(*rows: WorkerStatus, at: float = 0.0, cpu: float = 0.0) -> StatusReply:
    """A status of these workers."""
    return StatusReply(
        "1.2.3", 77, "ready", 100.0, "http://127.0.0.1:8080/", (PUBLIC,), (PUBLIC,), rows,
        warnings=("mind the gap",), spares=(SpareStatus("relay", 6, True),), usage=used(at, cpu),
    )  # fmt: skip


def every_role(at: float = 10.0) -> StatusReply:
    """One worker of each."""
    name = WorkerName
    return status_of(
        row(relay(at, 100, empty=3, oversize=1)),
        row(transceiver(at, created=7, audio=1000)),
        row(
            SignalingStats(
                name("signaling-0"),
                used(at),
                4,
                {"201": 7, "404": 1},
                1,
                {"here": 6, "elsewhere": 1},
                {"placed": 2},
                {"spent": 3},
                sidebands={"opened": 1},
            ),
            note="",
        ),
        row(RealtimeStats(name("realtime-0"), used(at), 1, 5, {"x": 2}, {"audio": 3}), note=""),
        row(fleet(at), note=""),
        row(TelemetryStats(name("telemetry-0"), used(at), 2, {"200": 9}, 0, 1), note=""),
        at=at,
    )
