"""What the supervisor knows, as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from ipc.lost import Lost
from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import CloseReason
from ipc.messages.stats import (
    JITTER_BOUNDS,
    ROUND_TRIP_BOUNDS,
    EndpointStats,
    FleetStats,
    ProcessUsage,
    RealtimeStats,
    RelayStats,
    SignalingStats,
    TcpStats,
    TelemetryStats,
    TransceiverStats,
)
from workers.telemetry.core import catalogue as c
from workers.telemetry.core.exposition import Exposition, Metric
from workers.wire.types import DropReason

APPLIANCE_STATES: Final = ("starting", "ready", "cordoned", "degraded", "draining")
WORKER_STATES: Final = (
    "stopped", "starting", "ready", "draining", "releasing", "back-off", "failed",
)  # fmt: skip
"""What the supervisor says; it and this worker know nothing of each other's code (a test does)."""
MAX_VALUES: Final = 64
"""Values of one label of one worker; more is a bug somewhere, and is counted as `other`."""
_DROPS: Final = tuple(reason.value for reason in DropReason)
_ENDS: Final = tuple(reason.value for reason in CloseReason)
_LOST: Final = tuple(why.value for why in Lost)
_SUPERVISOR: Final = ("supervisor", "supervisor")
_NATIVE_ROLES: Final = ("relay", "transceiver")


def exposition(status: StatusReply | None) -> Exposition:
    """All metrics; without a status, that there is none."""
    out = Exposition(c.METRICS)
    out.add(c.SUPERVISOR_UP, status is not None)
    if status is None:
        return out
    out.add(c.BUILD_INFO, 1, status.version)
    for state in APPLIANCE_STATES:
        out.add(c.STATE, state == status.state, state)
    out.add(c.UPTIME, status.uptime)
    out.add(c.WARNINGS, len(status.warnings))
    for spare in status.spares:
        out.add(c.SPARES, spare.waiting, spare.role)
    if status.usage is not None:
        _usage(out, status.usage, _SUPERVISOR)
    for worker in status.workers:
        _worker(out, worker)
    return out


def role_of(worker: str) -> str:
    """The role in a worker's name."""
    return worker.rpartition("-")[0]


def is_native(worker: WorkerStatus) -> bool:
    """Packets are moved by the code in C."""
    return worker.note.partition(" ")[0] == "native"


def _usage(out: Exposition, usage: ProcessUsage, of: tuple[str, str]) -> None:
    out.add(c.CPU, usage.cpu_seconds, *of)
    out.add(c.MEMORY, usage.rss_bytes, *of)
    _by(out, c.LOST, usage.lost, _LOST, *of)


def _worker(out: Exposition, worker: WorkerStatus) -> None:
    of = (worker.name, role_of(worker.name))
    for state in WORKER_STATES:
        out.add(c.WORKER_STATE, state == worker.state, *of, state)
    out.add(c.WORKER_CORDONED, worker.cordoned, *of)
    out.add(c.WORKER_UPTIME, worker.uptime, *of)
    out.add(c.WORKER_RESTARTS, worker.restarts, *of)
    out.add(c.WORKER_LOAD, worker.sessions, *of)
    if of[1] in _NATIVE_ROLES and worker.state == "ready":
        out.add(c.WORKER_NATIVE, is_native(worker), *of)
    stats = worker.stats
    if stats is None:
        return
    _usage(out, stats.usage, of)
    match stats:
        case RelayStats():
            _relay(out, stats, worker.name)
        case TransceiverStats():
            _transceiver(out, stats, worker.name)
        case SignalingStats() | TelemetryStats():
            out.add(c.HTTP_CONNECTIONS, stats.connections, *of)
            _by(out, c.HTTP_RESPONSES, stats.responses, (), *of)
            out.add(c.HTTP_FAILURES, stats.guarded, *of)
            out.add(c.HTTP_EVICTED, stats.evicted, *of)
            if isinstance(stats, SignalingStats):
                _by(out, c.CALLS_PLACED, stats.placed, (), worker.name)
                _by(out, c.CALLS_GUESTS, stats.guests, (), worker.name)
                _by(out, c.SINGLE_USE, stats.secrets, (), worker.name)
                _by(out, c.SIDEBANDS, stats.sidebands, (), worker.name)
            if isinstance(stats, TelemetryStats):
                out.add(c.UNANSWERED, stats.unanswered, worker.name)
        case RealtimeStats():
            out.add(c.REALTIME_CALLS, stats.calls, worker.name)
            out.add(c.REALTIME_BEGUN, stats.calls_total, worker.name)
            _by(out, c.REALTIME_FAILED, stats.failed, (), worker.name)
            _by(out, c.REALTIME_DROPPED, stats.dropped, (), worker.name)
        case FleetStats():
            out.add(c.FLEET_HOSTS, stats.hosts, worker.name)
            out.add(c.FLEET_FRESH, stats.fresh, worker.name)
            _by(out, c.FLEET_FAILURES, stats.failures, (), worker.name)
            _by(out, c.FLEET_REFUSED, stats.refused, (), worker.name)
            _by(out, c.FLEET_CACHE, stats.cache, (), worker.name)
            out.add(c.FLEET_WAITING, stats.cache_waiting, worker.name)
        case _ as never:
            assert_never(never)


def _relay(out: Exposition, stats: RelayStats, name: str) -> None:
    _flowing(out, stats, name, "udp")
    if (tcp := stats.tcp) is not None:
        _flowing(out, tcp, name, "tcp")
        out.add(c.RELAY_CONNECTIONS, tcp.connections, name)
        out.add(c.RELAY_ACCEPTED, tcp.accepted, name)
        out.add(c.RELAY_TAKEN, tcp.taken, name)
        _by(out, c.RELAY_ENDED, tcp.ended, (), name)
    out.add(c.RELAY_CONSERVED, stats.conserved, name)
    _by(out, c.RELAY_CACHE, stats.cache, (), name)
    for cluster, relays in stats.others.items():
        for relay, answers in relays.items():
            out.add(c.RELAY_OTHER_UP, answers, name, cluster, relay)
    out.add(c.RELAY_HELD, stats.held, name)


def _flowing(out: Exposition, stats: RelayStats | TcpStats, *of: str) -> None:
    out.add(c.RELAY_RECEIVED, stats.received, *of)
    out.add(c.RELAY_FORWARDED, stats.forwarded, *of)
    out.add(c.RELAY_UPCALLED, stats.upcalled, *of)
    _by(out, c.RELAY_DROPPED, stats.dropped, _DROPS, *of)
    _by(out, c.RELAY_REFUSED, stats.refused, _DROPS, *of)
    out.add(c.RELAY_RETURNED, stats.returned, *of)
    out.add(c.RELAY_FLOWS, stats.flows, *of)
    out.add(c.RELAY_PENDING, stats.pending, *of)
    out.add(c.RELAY_ASSURED, stats.assured_total, *of)


def _transceiver(out: Exposition, stats: TransceiverStats, name: str) -> None:
    out.add(c.SESSIONS, stats.sessions, name)
    out.add(c.CONNECTED, stats.connected, name)
    out.add(c.CREATED, stats.created_total, name)
    _by(out, c.CLOSED, stats.closed, _ENDS, name)
    out.add(c.BUSY, stats.busy, name)
    out.add(c.RECORDS_IN, stats.records_in, name)
    out.add(c.RECORDS_OUT, stats.records_out, name)
    out.add(c.AUDIO_IN, stats.audio_in, name)
    out.add(c.AUDIO_OUT, stats.audio_out, name)
    _by(out, c.TRANSCEIVER_DROPPED, stats.dropped, _DROPS, name)
    out.add(c.MESSAGES_IN, stats.messages_in, name)
    out.add(c.MESSAGES_OUT, stats.messages_out, name)
    out.add(c.MESSAGE_BYTES_IN, stats.message_bytes_in, name)
    out.add(c.MESSAGE_BYTES_OUT, stats.message_bytes_out, name)
    out.add(c.CHUNKS_RESENT, stats.chunks_resent, name)
    if (quality := stats.quality) is not None:
        out.add(c.LOST_IN, quality.lost_in, name)
        out.add(c.LOST_OUT, quality.lost_out, name)
        out.add_histogram(c.ROUND_TRIP, ROUND_TRIP_BOUNDS, quality.round_trip, name)
        out.add_histogram(c.JITTER_IN, JITTER_BOUNDS, quality.jitter_in, name)
        out.add_histogram(c.JITTER_OUT, JITTER_BOUNDS, quality.jitter_out, name)
    for backend, endpoints in stats.backends.items():
        for endpoint, seen in endpoints.items():
            _endpoint(out, seen, name, backend, endpoint)


def _endpoint(out: Exposition, seen: EndpointStats, *of: str) -> None:
    out.add(c.BACKEND_UP, seen.live, *of)
    out.add(c.BACKEND_SESSIONS, seen.sessions, *of)
    out.add(c.BACKEND_WITHOUT_CREDIT, seen.without_credit, *of)
    out.add(c.BACKEND_BEFORE_ACCEPT, seen.before_accept, *of)
    _by(out, c.BACKEND_MISTAKES, seen.mistakes, (), *of)


def _by(
    out: Exposition, metric: Metric, counts: Mapping[str, int], known: Iterable[str], *of: str
) -> None:
    """One sample for each value of the last label: the known ones, also at 0, and what else there is."""
    values = dict.fromkeys(known, 0) | dict(counts)
    for value in list(values)[:MAX_VALUES]:
        out.add(metric, values[value], *of, value)
    if len(values) > MAX_VALUES:
        out.add(metric, sum(list(values.values())[MAX_VALUES:]), *of, "other")
