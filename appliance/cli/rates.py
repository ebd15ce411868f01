"""From counters, looked at once a second, to what happens in a second: rates, and their last minute.

Counters only grow while a process lives; one that is smaller than before is another process's, and its
first second has no rates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, assert_never

import msgspec

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList
from ipc.messages.stats import (
    FleetStats,
    RealtimeStats,
    RelayStats,
    SignalingStats,
    TelemetryStats,
    TransceiverStats,
    WorkerStats,
)

MINUTE: Final = 60
"""Looks that are remembered."""


class Counted(NamedTuple):
    """What a worker had counted when it was looked at."""

    cpu_seconds: float
    taken: int
    """Datagrams (relay), records (transceiver), or answers (signaling) that came or were given."""
    given: int
    dropped: int


class Heard(NamedTuple):
    """What a worker's sessions had heard of their clients."""

    packets: int
    lost: int


class Rates(msgspec.Struct, frozen=True):
    """A worker in the last second; None where nothing is known."""

    name: str
    state: str
    sessions: int
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    packets_in: float | None = None
    packets_out: float | None = None
    loss_percent: float | None = None
    """Of the audio of its sessions' clients."""
    drops: float | None = None
    history: tuple[float, ...] = ()
    """`packets_in` of the last minute, the oldest first."""


class Totals(msgspec.Struct, frozen=True):
    """All workers together."""

    sessions: int
    """Of transceivers."""
    cpu_percent: float
    memory_bytes: int
    packets_in: float
    """From clients."""
    packets_out: float
    """To clients."""
    loss_percent: float | None
    drops: float
    sessions_history: tuple[float, ...] = ()
    packets_history: tuple[float, ...] = ()
    cpu_history: tuple[float, ...] = ()


class Frame(msgspec.Struct, frozen=True):
    """What `tandem top` shows at one time."""

    at: float
    """Seconds since 1970."""
    version: str
    state: str
    uptime: float
    totals: Totals
    workers: tuple[Rates, ...]
    warnings: tuple[str, ...] = ()


class _Past:
    """What a worker's process had counted when it was looked at last, and how fast it counts."""

    def __init__(self) -> None:
        self.pid = 0
        self.at = 0.0
        self.counted: Counted | None = None
        self.a_second: tuple[float, ...] | None = None
        """As `Counted`; None until it has counted twice."""
        self.history: deque[float] = deque(maxlen=MINUTE)

    def take(self, worker: WorkerStatus) -> None:
        """The newest counters, which may be those of the last look."""
        if self.pid != worker.pid:
            self.pid, self.counted, self.a_second = worker.pid, None, None
        if worker.stats is None:
            return
        counted = _count(worker.stats)
        before, passed = self.counted, worker.stats.usage.at - self.at
        if before is not None and passed > 0:
            pairs = zip(counted, before, strict=True)
            self.a_second = tuple(max(0.0, (new - old) / passed) for new, old in pairs)
        self.counted, self.at = counted, worker.stats.usage.at


class Meter:
    """Remembers looks, and makes frames of them."""

    def __init__(self) -> None:
        self._workers: dict[str, _Past] = {}
        self._sessions: dict[str, Heard] = {}
        self._looked = False
        self._totals: tuple[deque[float], ...] = tuple(
            deque[float](maxlen=MINUTE) for _ in range(3)
        )

    def look(self, status: StatusReply, sessions: SessionList, at: float) -> Frame:
        """One more look; `at` is wall-clock time."""
        known, self._looked = self._looked, True
        loss = self._loss(sessions)
        workers = tuple(self._rates(worker, loss) for worker in status.workers)
        for gone in self._workers.keys() - {worker.name for worker in status.workers}:
            del self._workers[gone]
        totals = self._sum(status.workers, workers, loss, known=known)
        return Frame(
            at, status.version, status.state, status.uptime, totals, workers, status.warnings
        )

    def _rates(self, worker: WorkerStatus, loss: dict[str, Heard]) -> Rates:
        past = self._workers.setdefault(worker.name, _Past())
        past.take(worker)
        memory = None if worker.stats is None else worker.stats.usage.rss_bytes
        rates = Rates(
            worker.name,
            worker.state,
            worker.sessions,
            memory_bytes=memory,
            loss_percent=_percent(loss.get(worker.name)),
        )
        if past.a_second is not None:
            cpu, taken, given, dropped = past.a_second
            past.history.append(taken)
            rates = msgspec.structs.replace(
                rates,
                cpu_percent=100 * cpu,
                packets_in=taken,
                packets_out=given,
                drops=dropped,
            )
        return msgspec.structs.replace(rates, history=tuple(past.history))

    def _loss(self, sessions: SessionList) -> dict[str, Heard]:
        """By worker, of the packets since the last look; sessions that are new do not count yet."""
        heard = {str(row.session): Heard(row.packets_in, row.lost) for row in sessions.rows}
        found: dict[str, Heard] = {}
        for row in sessions.rows:
            before = self._sessions.get(row.session)
            if before is not None:
                packets, lost = found.get(row.worker, Heard(0, 0))
                # A packet that was only late is no longer missing: less than nothing is lost then.
                found[row.worker] = Heard(
                    packets + max(0, row.packets_in - before.packets), lost + row.lost - before.lost
                )
        self._sessions = heard
        return found

    def _sum(
        self,
        statuses: Iterable[WorkerStatus],
        workers: tuple[Rates, ...],
        loss: dict[str, Heard],
        *,
        known: bool,
    ) -> Totals:
        roles = {worker.name: type(worker.stats) for worker in statuses}
        relays = [rates for rates in workers if roles[rates.name] is RelayStats]
        sessions = sum(r.sessions for r in workers if roles[r.name] is TransceiverStats)
        packets = sum(rates.packets_in or 0.0 for rates in relays)
        cpu = sum(rates.cpu_percent or 0.0 for rates in workers)
        if known:
            for history, value in zip(self._totals, (float(sessions), packets, cpu), strict=True):
                history.append(value)
        everybody = Heard(sum(h.packets for h in loss.values()), sum(h.lost for h in loss.values()))
        return Totals(
            sessions,
            cpu,
            sum(rates.memory_bytes or 0 for rates in workers),
            packets,
            sum(rates.packets_out or 0.0 for rates in relays),
            _percent(everybody),
            sum(rates.drops or 0.0 for rates in workers),
            *map(tuple, self._totals),
        )


def _count(stats: WorkerStats) -> Counted:
    match stats:
        case RelayStats() as relay:
            return Counted(relay.usage.cpu_seconds, *relay.totals)
        case TransceiverStats() as it:
            dropped = sum(it.dropped.values())
            return Counted(it.usage.cpu_seconds, it.records_in, it.records_out, dropped)
        case SignalingStats() | TelemetryStats() as http:
            answered = sum(http.responses.values())
            return Counted(http.usage.cpu_seconds, answered, answered, http.guarded)
        case RealtimeStats() as realtime:
            dropped = sum(realtime.dropped.values())
            return Counted(realtime.usage.cpu_seconds, 0, 0, dropped)
        case FleetStats() as fleet:
            return Counted(fleet.usage.cpu_seconds, 0, 0, sum(fleet.refused.values()))
        case _ as never:
            assert_never(never)


def _percent(heard: Heard | None) -> float | None:
    if heard is None or heard.packets + heard.lost <= 0:
        return None
    return 100 * max(0, heard.lost) / (heard.packets + max(0, heard.lost))
