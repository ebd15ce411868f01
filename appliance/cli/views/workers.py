"""The processes of the appliance in detail, for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.fitted import Column, FittedTable
from appliance.cli.plain import escape
from appliance.cli.render import NONE, STATE_STYLES, duration
from ipc.log_line import printable
from ipc.messages.admin import SpareStatus, StatusReply, WorkerStatus

_COLUMNS = (
    Column("worker"),
    Column("state"),
    Column("pid", number=True),
    Column("cpu", 4, number=True),
    Column("generation", 5, number=True),
    Column("up", number=True),
    Column("memory", 1, number=True),
    Column("cpu time", 3, number=True),
    Column("restarts", 2, number=True),
    Column("last exit", fold=18),
)


def workers_view(status: StatusReply) -> RenderableType:
    """One process a row, spares among them; then what there is to say of each."""
    table = FittedTable(_COLUMNS)
    for worker in status.workers:
        table.add_row(*_row(worker))
    for spare in status.spares:
        table.add_row(*_spare_row(spare))
    parts: list[RenderableType] = [table, ""]
    parts += [Text(printable(f"{names}: {note}")) for note, names in _notes(status).items()]
    return Group(*parts)


def _row(worker: WorkerStatus) -> list[str]:
    stats = worker.stats
    return [
        escape(worker.name),
        f"[{STATE_STYLES.get(worker.state, 'red')}]{escape(worker.state)}[/]",
        str(worker.pid or NONE),
        NONE if worker.cpu is None else str(worker.cpu),
        str(worker.generation or NONE),
        duration(worker.uptime),
        NONE if stats is None else f"{stats.usage.rss_bytes / 2**20:.0f} MB",
        NONE if stats is None else duration(stats.usage.cpu_seconds),
        str(worker.restarts),
        escape(worker.last_exit or NONE),
    ]


def _spare_row(spare: SpareStatus) -> list[str]:
    state = "[green]waiting[/]" if spare.waiting else "[cyan]starting[/]"
    return [f"spare {escape(spare.role)}", state, str(spare.pid), *[NONE] * 7]


def _notes(status: StatusReply) -> dict[str, str]:
    notes: dict[str, list[str]] = {}
    used = {"supervisor": status.usage} if status.usage is not None else {}
    for worker in status.workers:
        if worker.note:
            notes.setdefault(worker.note, []).append(worker.name)
        if worker.stats is not None:
            used[worker.name] = worker.stats.usage
    for name, usage in used.items():
        if lost := ", ".join(f"{times} {why}" for why, times in usage.lost.items()):
            notes.setdefault(f"lost messages: {lost}", []).append(name)
    return {note: ", ".join(names) for note, names in notes.items()}
