"""What the appliance says of itself, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, assert_never

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.fitted import Column, FittedTable
from appliance.cli.plain import escape
from config.ids import Endpoint, Route
from ipc.log_line import printable
from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList
from ipc.messages.stats import (
    EndpointStats,
    FleetStats,
    RealtimeStats,
    RelayStats,
    SignalingStats,
    TelemetryStats,
    TransceiverStats,
)

STATE_STYLES = {"ready": "green", "starting": "cyan", "draining": "yellow", "cordoned": "yellow"}
NONE = "-"
_UNBOUNDED: Final = 1000


def show(renderable: RenderableType) -> None:
    """Print to standard output; wide enough not to cut cells when that is a file or a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_UNBOUNDED)
    console.print(renderable)


def as_json(value: object, indent: int | None = 2) -> str:
    """Every field, defaults too, so that a program always finds the same keys; None: all in a line."""
    return json.dumps(_plain(value), indent=indent)


def _plain(value: object) -> object:
    match value:
        case msgspec.Struct():
            fields = value.__struct_fields__
            return {name: _plain(getattr(value, name)) for name in fields}
        case Endpoint():
            return str(value)
        case Route():
            return value._asdict()
        case Enum():
            return value.value
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def status_view(status: StatusReply) -> RenderableType:
    """The appliance in a few lines, its workers, one a row, and what there is to say about them."""
    style = STATE_STYLES.get(status.state, "red")
    state = f"[{style}]{escape(status.state)}[/] for {duration(status.uptime)}"
    head = Table.grid(padding=(0, 2))
    head.add_row("tandem", f"{escape(status.version)}, {state}, process {status.pid}")
    if status.page:
        head.add_row("page", escape(status.page))
    if status.ops:
        head.add_row("ops page", escape(status.ops))
    if status.listen:
        head.add_row("relay", endpoints_of(status.listen))
    if status.advertise:
        head.add_row("in answers", endpoints_of(status.advertise))
    if status.advertise_tcp:
        head.add_row("and after it", endpoints_of(status.advertise_tcp, "tcp"))
    if drained := _drained(status):
        head.add_row("drained", f"[yellow]{escape(drained)}[/]")
    if status.spares:
        spares = (f"{s.role}{'' if s.waiting else ' (not yet)'}" for s in status.spares)
        head.add_row("spares", escape(", ".join(spares)))
    for name, line in _backends(status.workers).items():
        head.add_row(f"back end {escape(name)}", line)
    for cluster, relays in status.others.items():
        head.add_row(f"cluster {escape(cluster)}", _relays(relays))
    for stats in (w.stats for w in status.workers if isinstance(w.stats, FleetStats)):
        head.add_row("fleet", escape(_fleet(stats)))
    if ended := _ended(status.workers):
        head.add_row("ended", escape(ended))
    notes = [Text(printable(f"{names}: {note}")) for note, names in _notes(status).items()]
    warnings = [Text(f"warning: {text}", style="yellow") for text in status.warnings]
    return Group(head, "", _workers(status.workers), "", *notes, *warnings)


def _drained(status: StatusReply) -> str:
    """What an operator wants to take no new sessions."""
    if status.cordoned:
        return "this host takes no new sessions (tandem undrain)"
    names = [worker.name for worker in status.workers if worker.cordoned]
    return f"{', '.join(names)}: no new sessions (tandem undrain)" if names else ""


def _backends(workers: Sequence[WorkerStatus]) -> dict[str, str]:
    """Of each back end elsewhere: its end points, whether they live, and how many sessions they have."""
    lines: dict[str, str] = {}
    seen: dict[str, dict[str, list[EndpointStats]]] = {}
    for worker in workers:
        if isinstance(worker.stats, TransceiverStats):
            for name, endpoints in worker.stats.backends.items():
                for endpoint, stats in endpoints.items():
                    seen.setdefault(name, {}).setdefault(endpoint, []).append(stats)
    for name, endpoints_seen in seen.items():
        parts = []
        for endpoint, views in endpoints_seen.items():
            live = sum(view.live for view in views)
            sessions = sum(view.sessions for view in views)
            served = "1 session" if sessions == 1 else f"{sessions} sessions"
            words = served if live == len(views) else "[red]away[/]"
            if 0 < live < len(views):
                words = f"[yellow]reached by {live} of {len(views)}[/], {served}"
            parts.append(f"{escape(endpoint)} {words}")
        lines[name] = ", ".join(parts)
    return lines


def _relays(relays: Mapping[str, bool]) -> str:
    """Those of another cluster, and whether they answer."""
    state = {True: "answers", False: "[red]silent[/]"}
    return ", ".join(f"{escape(relay)} {state[answers]}" for relay, answers in relays.items())


def _fleet(stats: FleetStats) -> str:
    """The other hosts, and how it stands with Redis."""
    hosts = "1 other host" if stats.hosts == 1 else f"{stats.hosts} other hosts"
    if silent := stats.hosts - stats.fresh:
        hosts += f", {silent} of them silent"
    return f"{hosts}; redis {stats.redis}" if stats.redis else hosts


def _ended(workers: Sequence[WorkerStatus]) -> str:
    """Why sessions have ended, and how many of each, the most frequent first."""
    reasons: Counter[str] = Counter()
    for worker in workers:
        if isinstance(worker.stats, TransceiverStats):
            reasons.update(worker.stats.closed)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())


_WORKER_COLUMNS: Final = (
    Column("worker"),
    Column("state"),
    Column("pid", 2, number=True),
    Column("cpu", 4, number=True),
    Column("up", 1, number=True),
    Column("load", number=True),
    Column("in", number=True),
    Column("out", 3, number=True),
    Column("drop", number=True),
    Column("cpu %", number=True),
    Column("memory", number=True),
)


def _workers(workers: Sequence[WorkerStatus]) -> FittedTable:
    table = FittedTable(_WORKER_COLUMNS)
    for worker in workers:
        table.add_row(*_worker_row(worker))
    return table


def _worker_row(worker: WorkerStatus) -> list[str]:
    style = STATE_STYLES.get(worker.state, "red")
    stats = worker.stats
    busy = memory = NONE
    if stats is not None:
        busy = f"{100 * stats.usage.cpu_seconds / max(worker.uptime, 1):.1f}"
        memory = f"{stats.usage.rss_bytes / 2**20:.0f} MB"
    return [
        escape(worker.name),
        f"[{style}]{escape(worker.state)}[/]",
        str(worker.pid or NONE),
        NONE if worker.cpu is None else str(worker.cpu),
        duration(worker.uptime),
        count(worker.sessions),
        *_traffic(worker),
        busy,
        memory,
    ]


def _traffic(worker: WorkerStatus) -> tuple[str, str, str]:
    """In, out, dropped: datagrams (relay), records (transceiver), answers and crashes (HTTP),
    and what was lost of calls that are over (realtime)."""
    match worker.stats:
        case RelayStats() as relay:
            received, returned, dropped = relay.totals
            return count(received), count(returned), count(dropped)
        case TransceiverStats() as transceiver:
            dropped = sum(transceiver.dropped.values())
            return count(transceiver.records_in), count(transceiver.records_out), count(dropped)
        case SignalingStats() | TelemetryStats() as http:
            return NONE, count(sum(http.responses.values())), count(http.guarded)
        case RealtimeStats() as realtime:
            return NONE, NONE, count(sum(realtime.dropped.values()))
        case FleetStats() | None:
            return NONE, NONE, NONE
        case _ as never:
            assert_never(never)


def _notes(status: StatusReply) -> dict[str, str]:
    """What is to be said, and about whom: workers that share a note share its line."""
    notes: dict[str, list[str]] = {}
    for worker in status.workers:
        if worker.release not in ("", status.version):
            notes.setdefault(f"runs version {worker.release} (tandem upgrade)", []).append(
                worker.name
            )
        if worker.note:
            notes.setdefault(worker.note, []).append(worker.name)
        if worker.restarts:
            times = "once" if worker.restarts == 1 else f"{worker.restarts} times"
            notes.setdefault(f"restarted {times}", []).append(worker.name)
        if isinstance(worker.stats, RelayStats) and not worker.stats.conserved:
            notes.setdefault("its counters do not add up; please report this", []).append(
                worker.name
            )
    return {note: ", ".join(names) for note, names in notes.items()}


_SESSION_COLUMNS: Final = (
    Column("session"),
    Column("worker", 3),
    Column("state"),
    Column("age", number=True),
    Column("rtt", 1, number=True),
    Column("in", 6, number=True, about="packets in"),
    Column("lost in", 2, number=True),
    Column("jitter in", 5, number=True),
    Column("out", 6, number=True, about="packets out"),
    Column("lost out", 2, number=True),
    Column("jitter out", 5, number=True),
    Column("codec", 4),
    Column("path", 7),
)


def sessions_view(sessions: SessionList) -> RenderableType:
    """One session a row, and how many there are if not all are shown."""
    if not sessions.rows:
        return Text("no sessions")
    table = FittedTable(_SESSION_COLUMNS)
    for row in sessions.rows:
        table.add_row(
            escape(row.session),
            escape(row.worker),
            escape(row.state),
            duration(row.age),
            milliseconds(row.round_trip_ms),
            count(row.packets_in),
            count(row.lost),
            milliseconds(row.jitter_ms),
            count(row.packets_out),
            NONE if row.peer_lost is None else count(row.peer_lost),
            milliseconds(row.peer_jitter_ms),
            escape(row.codec or NONE),
            escape(row.path or NONE),
        )
    if sessions.total > len(sessions.rows):
        return Group(table, Text(f"{len(sessions.rows)} of {sessions.total} sessions shown"))
    return table


def duration(seconds: float) -> str:
    """Two units at most: `7s`, `3m05s`, `2h10m`, `4d03h`."""
    whole = max(0, int(seconds))
    for size, unit, part, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def count(number: int) -> str:
    """Six characters at most: `12345`, `123.5k`, `1.235M`; the JSON output is exact."""
    if number < 100_000:
        return str(number)
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number / 1000:.4g}k"


def milliseconds(value: float | None) -> str:
    """With its unit, if there is one."""
    return NONE if value is None else f"{value:.1f} ms"


def table_of(words: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty one with these columns, numbers to the right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0, header_style="bold")
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def endpoints_of(endpoints: Sequence[Endpoint], transport: str = "udp") -> str:
    """As operators write them."""
    return escape(", ".join(f"{endpoint}/{transport}" for endpoint in endpoints)) or NONE
