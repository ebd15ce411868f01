"""What the page is told: the present state, the samples that it lacks, the sessions.

A session's name is what one needs to end it, so only its beginning is shown: enough to find it with
`tandem sessions`, which asks for the rights of an operator.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList
from workers.telemetry.core.history import EVERY, LENGTH, History, columns
from workers.telemetry.core.metrics import role_of

SHOWN: Final = 8
"""Characters of a session's token."""


def data(history: History, after: int, status: StatusReply | None, began: int) -> bytes:
    """Everything but sessions, as JSON. `began` tells this process from one before it."""
    samples = history.after(after)
    return msgspec.json.encode(
        {
            "began": began,
            "serial": history.serial,
            "every": EVERY,
            "length": LENGTH,
            "samples": columns(samples),
            "status": None if status is None else _status(status),
        }
    )


def sessions(found: SessionList | None) -> bytes:
    """The sessions, as JSON; null if nobody knows."""
    if found is None:
        return b"null"
    rows = [msgspec.structs.asdict(row) | {"session": shortened(row.session)} for row in found.rows]
    return msgspec.json.encode({"total": found.total, "rows": rows})


def shortened(session: str) -> str:
    """The beginning of a session's name."""
    prefix, _, token = session.rpartition("_")
    return f"{prefix}_{token[:SHOWN]}"


def _status(status: StatusReply) -> dict[str, Any]:
    return {
        "version": status.version,
        "state": status.state,
        "uptime": status.uptime,
        "page": status.page,
        "listen": [str(each) for each in status.listen],
        "warnings": status.warnings,
        "spares": [{"role": s.role, "waiting": s.waiting} for s in status.spares],
        "workers": [_worker(each) for each in status.workers],
    }


def _worker(worker: WorkerStatus) -> dict[str, Any]:
    return {
        "name": worker.name,
        "role": role_of(worker.name),
        "state": worker.state,
        "pid": worker.pid,
        "restarts": worker.restarts,
        "uptime": worker.uptime,
        "load": worker.sessions,
        "note": worker.note,
        "cordoned": worker.cordoned,
    }
