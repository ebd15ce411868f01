"""What signaling is told of the transceivers: which there are, and which take sessions."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.supervisor.core.cordon import Cordon
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.routes import RouteTable
from appliance.supervisor.core.worker import Worker
from ipc.messages.routes import TransceiverEntry


def entries(
    transceivers: Iterable[Worker],
    routes: RouteTable,
    cordon: Cordon,
    *,
    open_to_new: bool,
    most: int,
) -> tuple[TransceiverEntry, ...]:
    """All that have sessions or may get some.

    `open_to_new`: the appliance does not end and has a relay; `most`: sessions that one takes. None go
    to one that is not ready or is cordoned, that joins or leaves, or whose route some relay does not know.
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
