"""Whether a peer of the control socket is the process that it says it is."""

from __future__ import annotations

from appliance.supervisor.core.interface import Received
from appliance.supervisor.core.worker import Worker
from ipc.messages.lifecycle import PROTOCOL_VERSION, Hello


def refusal(worker: Worker | None, event: Received) -> str:
    """Why this peer is none of ours; empty if it is the process that we started as `worker`."""
    if worker is None:
        return f"no process {event.process} was started here"
    if worker.pid != event.pid:
        return f"{event.process} is process {worker.pid}, not {event.pid}"
    if not isinstance(event.message, Hello):
        return "" if worker.welcomed else "said something before Hello"
    hello = event.message
    if hello.version != PROTOCOL_VERSION:
        return f"speaks version {hello.version}, the supervisor {PROTOCOL_VERSION}"
    same = (hello.name, hello.generation, hello.pid, hello.role) == (
        *event.process,
        event.pid,
        worker.spec.role,
    )
    return "" if same else "its Hello and its socket identity differ"
