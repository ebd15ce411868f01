"""The last quarter of an hour, as samples: what a fresh page shows of the past.

Rates are of what a worker has counted between two of its own publications, by the times that it gives, so
that they do not tremble with when we ask. A worker that was replaced has no rate until its second word.
What only reports of clients tell comes seldom, so it is taken over a window of some samples.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.stats import (
    ROUND_TRIP_BOUNDS,
    QualityStats,
    RelayStats,
    TcpStats,
    TransceiverStats,
)

EVERY: Final = 2.0
"""Seconds from sample to sample."""
LENGTH: Final = 450
"""Samples: 15 minutes."""
WINDOW: Final = 5
"""Samples over which loss, jitter and round trip are taken."""
MAX_WORKERS: Final = 48
"""Workers whose CPU and memory are remembered."""


class Sample(msgspec.Struct, frozen=True):
    """A moment. Rates are per second, times in ms, shares in percent; None where nothing is known."""

    at: int
    """Milliseconds since 1970."""
    sessions: int = 0
    connected: int = 0
    setups: float = 0.0
    received: float = 0.0
    """Datagrams of clients."""
    returned: float = 0.0
    """Datagrams to clients."""
    round_trip: float | None = None
    round_trip_95: float | None = None
    """Of 20 reports, 19 gave less."""
    jitter_in: float | None = None
    jitter_out: float | None = None
    loss_in: float | None = None
    loss_out: float | None = None
    drops: dict[str, float] = {}
    """By reason, of relays and transceivers."""
    cpu: dict[str, float] = {}
    """By process, of one CPU."""
    memory: dict[str, float] = {}
    """By process, in MB."""


class Rates(msgspec.Struct, frozen=True):
    """What one worker did between its last two publications."""

    cpu: float
    setups: float = 0.0
    received: float = 0.0
    returned: float = 0.0
    drops: dict[str, float] = {}


class History:
    """Takes what the supervisor says and keeps what a page needs of it."""

    def __init__(self) -> None:
        self.serial = 0
        """Number of the newest sample; the first is 1."""
        self._samples: deque[Sample] = deque(maxlen=LENGTH)
        self._last: dict[str, WorkerStatus] = {}
        self._rates: dict[str, Rates] = {}
        self._window: deque[list[float]] = deque(maxlen=WINDOW)
        self._supervisor: StatusReply | None = None

    def add(self, status: StatusReply, at: int) -> None:
        """A new sample, at that many milliseconds since 1970."""
        steps: list[list[float]] = []
        rates: dict[str, Rates] = {}
        for worker in status.workers:
            before = self._last.get(worker.name)
            found = self._rates.get(worker.name)
            if before is not None and before.pid == worker.pid and (took := _took(before, worker)):
                found = _rates(before, worker, took)
                steps.append(_step(before, worker))
            elif before is not None and before.pid != worker.pid:
                found = None
            if found is not None:
                rates[worker.name] = found
        self._window.append(_sum(steps))
        self._samples.append(self._sample(status, rates, at))
        self.serial += 1
        self._last = {worker.name: worker for worker in status.workers if worker.stats is not None}
        self._rates, self._supervisor = rates, status

    def after(self, serial: int) -> list[Sample]:
        """The samples that came after that number; all, if it is none of ours."""
        missing = self.serial - serial if 0 <= serial <= self.serial else self.serial
        missing = min(missing, len(self._samples))
        return list(islice(self._samples, len(self._samples) - missing, None))

    def _sample(self, status: StatusReply, rates: dict[str, Rates], at: int) -> Sample:
        own = [w.stats for w in status.workers if isinstance(w.stats, TransceiverStats)]
        drops: Counter[str] = Counter()
        for each in rates.values():
            drops.update(each.drops)
        cpu = {name: each.cpu for name, each in islice(rates.items(), MAX_WORKERS)}
        memory = {
            worker.name: worker.stats.usage.rss_bytes / 2**20
            for worker in islice(status.workers, MAX_WORKERS)
            if worker.stats is not None
        }
        if status.usage is not None:
            memory["supervisor"] = status.usage.rss_bytes / 2**20
            if (share := self._supervisor_cpu(status)) is not None:
                cpu["supervisor"] = share
        return Sample(
            at,
            sessions=sum(stats.sessions for stats in own),
            connected=sum(stats.connected for stats in own),
            setups=sum(each.setups for each in rates.values()),
            received=sum(each.received for each in rates.values()),
            returned=sum(each.returned for each in rates.values()),
            drops={reason: rate for reason, rate in drops.items() if rate},
            cpu=cpu,
            memory=memory,
            **_quality(_sum(self._window)),
        )

    def _supervisor_cpu(self, status: StatusReply) -> float | None:
        before = self._supervisor
        if before is None or before.usage is None or status.usage is None:
            return None
        took = status.usage.at - before.usage.at
        if before.pid != status.pid or took <= 0:
            return None
        return 100 * (status.usage.cpu_seconds - before.usage.cpu_seconds) / took


def columns(samples: Sequence[Sample]) -> dict[str, object]:
    """The same, one list a field: a fraction of the bytes. Fields by name are lists by that name."""
    table: dict[str, object] = {}
    for field in Sample.__struct_fields__:
        values = [getattr(sample, field) for sample in samples]
        if field in ("drops", "cpu", "memory"):
            names = dict.fromkeys(name for value in values for name in value)
            missing = 0 if field == "drops" else None
            table[field] = {
                name: [_short(value.get(name, missing)) for value in values] for name in names
            }
        else:
            table[field] = [_short(value) for value in values]
    return table


def _short(value: float | None) -> float | None:
    return round(value, 2) if isinstance(value, float) else value


def _took(before: WorkerStatus, now: WorkerStatus) -> float:
    """Seconds between two publications of the same process; 0 if there was no other one."""
    if before.stats is None or now.stats is None:
        return 0.0
    return max(0.0, now.stats.usage.at - before.stats.usage.at)


def _rates(before: WorkerStatus, now: WorkerStatus, took: float) -> Rates:
    old, new = before.stats, now.stats
    assert old is not None
    assert new is not None
    cpu = 100 * (new.usage.cpu_seconds - old.usage.cpu_seconds) / took
    match old, new:
        case RelayStats(), RelayStats():
            (received, returned, _), (came, went, _) = new.totals, old.totals
            return Rates(
                cpu,
                received=(received - came) / took,
                returned=(returned - went) / took,
                drops=_more(_drops(old), _drops(new), took),
            )
        case TransceiverStats(), TransceiverStats():
            return Rates(
                cpu,
                setups=(new.created_total - old.created_total) / took,
                drops=_more((old.dropped,), (new.dropped,), took),
            )
        case _:
            return Rates(cpu)


def _drops(relay: RelayStats) -> list[dict[str, int]]:
    """By reason, of UDP and TCP."""
    both: list[RelayStats | TcpStats] = [relay]
    if relay.tcp is not None:
        both.append(relay.tcp)
    return [counts for one in both for counts in (one.dropped, one.refused)]


def _more(
    old: Iterable[dict[str, int]], new: Iterable[dict[str, int]], took: float
) -> dict[str, float]:
    more: Counter[str] = Counter()
    for counts in new:
        more.update(counts)
    for counts in old:
        more.subtract(counts)
    return {reason: count / took for reason, count in more.items() if count > 0}


# --- what reports tell: a vector that can be added and subtracted ---------------------------------------

_TRIPS: Final = len(ROUND_TRIP_BOUNDS) + 1
_HEAD: Final = 9


def _vector(stats: TransceiverStats, quality: QualityStats) -> list[float]:
    trip, jitter_in, jitter_out = quality.round_trip, quality.jitter_in, quality.jitter_out
    return [
        trip.sum,
        sum(jitter_in.counts),
        jitter_in.sum,
        sum(jitter_out.counts),
        jitter_out.sum,
        quality.lost_in,
        stats.audio_in,
        quality.lost_out,
        stats.audio_out,
        *trip.counts,
    ]


def _step(before: WorkerStatus, now: WorkerStatus) -> list[float]:
    old, new = before.stats, now.stats
    if not isinstance(old, TransceiverStats) or not isinstance(new, TransceiverStats):
        return []
    if old.quality is None or new.quality is None:
        return []
    pairs = zip(_vector(old, old.quality), _vector(new, new.quality), strict=True)
    return [later - earlier for earlier, later in pairs]


def _sum(vectors: Iterable[list[float]]) -> list[float]:
    total = [0.0] * (_HEAD + _TRIPS)
    for vector in vectors:
        for index, value in enumerate(vector):
            total[index] += value
    return total


def _quality(total: list[float]) -> dict[str, float | None]:
    trip, count_in, sum_in, count_out, sum_out, lost_in, came, lost_out, sent = total[:_HEAD]
    trips = total[_HEAD:]
    return {
        "round_trip": 1000 * trip / sum(trips) if any(trips) else None,
        "round_trip_95": 1000 * below(0.95, ROUND_TRIP_BOUNDS, trips) if any(trips) else None,
        "jitter_in": 1000 * sum_in / count_in if count_in else None,
        "jitter_out": 1000 * sum_out / count_out if count_out else None,
        "loss_in": 100 * lost_in / (came + lost_in) if came + lost_in else None,
        "loss_out": min(100.0, 100 * lost_out / sent) if sent else None,
    }


def below(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """The value that this share of all is below, as far as buckets tell; the last bound if beyond."""
    wanted, passed, lower = share * sum(counts), 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and passed + count >= wanted:
            return lower + (bound - lower) * (wanted - passed) / count
        passed, lower = passed + count, bound
    return bounds[-1]
