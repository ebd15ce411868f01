"""How the appliance is, as one word.

starting   not every worker has been ready yet
ready      every worker is, and every transceiver takes sessions
cordoned   likewise, but an operator has said that it shall take none
degraded   it serves, but a worker is down, stuck or failed
draining   it was told to end
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.plan import Stage


class ApplianceState(StrEnum):
    """What `tandem status` says first."""

    STARTING = "starting"
    READY = "ready"
    CORDONED = "cordoned"
    DEGRADED = "degraded"
    DRAINING = "draining"


def appliance_state(
    stage: Stage,
    workers: Iterable[WorkerState],
    *,
    accepting: bool,
    was_ready: bool,
    cordoned: bool = False,
) -> ApplianceState:
    """The state that follows from those of its workers.

    `accepting` says that every transceiver that may take sessions does, `cordoned` that none may, and
    `was_ready` that it has been ready before: nothing is "starting" after that, it is a replacement.
    """
    states = set(workers)
    if stage is not Stage.RUN:
        return ApplianceState.DRAINING
    if states == {WorkerState.READY} and accepting:
        return ApplianceState.CORDONED if cordoned else ApplianceState.READY
    if was_ready or WorkerState.FAILED in states:
        return ApplianceState.DEGRADED
    return ApplianceState.STARTING
