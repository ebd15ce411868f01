"""What the appliance says of itself, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from config.ids import Endpoint
from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList
from ipc.messages.stats import RelayStats, SignalingStats, TransceiverStats

_STATE_STYLES = {"ready": "green", "starting": "cyan", "draining": "yellow"}
_NONE = "-"


def show(renderable: RenderableType) -> None:
    """Print to standard output; wide enough not to cut cells when that is a file or a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(renderable)


def as_json(value: object) -> str:
    """Every field, defaults too, so that a program always finds the same keys."""
    return json.dumps(_plain(value), indent=2)


def _plain(value: object) -> object:
    match value:
        case msgspec.Struct():
            fields = value.__struct_fields__
            return {name: _plain(getattr(value, name)) for name in fields}
        case Endpoint():
            return str(value)
        case Enum():
            return value.value
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def status_view(status: StatusReply) -> RenderableType:
    """The appliance in a few lines, then its workers, one a row."""
    style = _STATE_STYLES.get(status.state, "red")
    head = Table.grid(padding=(0, 2))
    head.add_row(
        "tandem",
        f"{escape(status.version)}, [{style}]{escape(status.state)}[/] for {duration(status.uptime)},"
        f" process {status.pid}",
    )
    head.add_row("page", escape(status.page))
    head.add_row("relay", _endpoints(status.listen))
    head.add_row("in answers", _endpoints(status.advertise))
    warnings = [Text(f"warning: {text}", style="yellow") for text in status.warnings]
    return Group(head, _workers(status.workers), *warnings)


def _workers(workers: Sequence[WorkerStatus]) -> Table:
    table = _table("worker", "state", note=True)
    numbers = (
        "pid",
        "cpu",
        "restarts",
        "uptime",
        "load",
        "in",
        "out",
        "dropped",
        "cpu %",
        "memory",
    )
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    for worker in workers:
        table.add_row(*_worker_row(worker))
    return table


def _worker_row(worker: WorkerStatus) -> list[str]:
    style = _STATE_STYLES.get(worker.state, "red")
    stats = worker.stats
    busy = memory = _NONE
    if stats is not None:
        busy = f"{100 * stats.usage.cpu_seconds / max(worker.uptime, 1):.1f}"
        memory = f"{stats.usage.rss_bytes / 2**20:.0f} MB"
    return [
        escape(worker.name),
        f"[{style}]{escape(worker.state)}[/]",
        str(worker.pid or _NONE),
        _NONE if worker.cpu is None else str(worker.cpu),
        str(worker.restarts),
        duration(worker.uptime),
        *_traffic(worker),
        busy,
        memory,
        escape(worker.note),
    ]


def _traffic(worker: WorkerStatus) -> tuple[str, str, str, str]:
    """Load, in, out, dropped: what these mean depends on the role."""
    match worker.stats:
        case RelayStats() as relay:
            dropped = sum(relay.dropped.values()) + sum(relay.refused.values())
            load = f"{relay.flows} flows"
            return load, count(relay.received), count(relay.returned), count(dropped)
        case TransceiverStats() as transceiver:
            dropped = sum(transceiver.dropped.values())
            load = f"{transceiver.sessions} sessions"
            return (
                load,
                count(transceiver.records_in),
                count(transceiver.records_out),
                count(dropped),
            )
        case SignalingStats() as signaling:
            answered = sum(signaling.responses.values())
            load = f"{signaling.connections} connections"
            return load, _NONE, count(answered), count(signaling.guarded)
        case None:
            return str(worker.sessions), _NONE, _NONE, _NONE


def sessions_view(sessions: SessionList) -> RenderableType:
    """One session a row, and how many there are if not all are shown."""
    if not sessions.rows:
        return Text("no sessions")
    table = _table("session", "worker", "state")
    for name in ("age", "in", "out", "lost", "jitter"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("codec", no_wrap=True)
    table.add_column("path", overflow="fold")
    for row in sessions.rows:
        table.add_row(
            escape(row.session),
            escape(row.worker),
            escape(row.state),
            duration(row.age),
            count(row.packets_in),
            count(row.packets_out),
            count(row.lost),
            f"{row.jitter_ms:.1f} ms",
            escape(row.codec or _NONE),
            escape(row.path or _NONE),
        )
    if sessions.total > len(sessions.rows):
        return Group(table, Text(f"{len(sessions.rows)} of {sessions.total} sessions shown"))
    return table


def duration(seconds: float) -> str:
    """`7 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    whole = max(0, int(seconds))
    for unit, size, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"


def count(number: int) -> str:
    """Thousands apart: `12 345`."""
    return f"{number:,}".replace(",", " ")


def _table(*columns: str, note: bool = False) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=False)
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _endpoints(endpoints: Sequence[Endpoint]) -> str:
    return escape(", ".join(f"{endpoint}/udp" for endpoint in endpoints)) or _NONE
