"""What signaling is told of the transceivers: which there are, and which take sessions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from appliance.supervisor.core.cordon import Cordon
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.routes import RouteTable
from appliance.supervisor.core.worker import Worker
from ipc.messages.routes import TransceiverEntry

FULL: Final = 1 / 64
"""Share of a relay's flows that is left when it is said to be full: it says what it has once a second."""


def have_room(relays: Iterable[Worker], most: int) -> bool:
    """One of these relays runs, or is being replaced, and knows fewer flows than the most it can."""
    least = most - most * FULL
    return any(w.life.state is not WorkerState.FAILED and w.sessions < least for w in relays)


def entries(
    transceivers: Iterable[Worker],
    routes: RouteTable,
    cordon: Cordon,
    *,
    open_to_new: bool,
    most: int,
) -> tuple[TransceiverEntry, ...]:
    """All that have sessions or may get some.

    `open_to_new`: the appliance does not end and has a relay with room; `most`: sessions that one takes.
    None go to one that is not ready or is cordoned, that joins or leaves, or whose route some relay does
    not know.
    """
    return tuple(
        TransceiverEntry(
            worker.route,
            worker.rpc,
            worker.sessions,
            most,
            accepting=open_to_new
            and worker.life.state is WorkerState.READY
            and worker.stays
            and not cordon.host
            and not cordon.has(worker.name)
            and not worker.joining
            and routes.is_confirmed(worker.route),
        )
        for worker in transceivers
        if worker.route is not None and worker.serves and worker.rpc
    )
