"""How the appliance is, as one word.

starting   not every worker has been ready yet
ready      every worker is, and every transceiver takes sessions
cordoned   likewise, but an operator has said that it shall take none
degraded   it serves, but a worker is down, stuck or failed, or it lacks other hosts without which it cannot
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


class Health:
    """The state, and whether it has been a good one before: nothing is "starting" after that."""

    def __init__(self) -> None:
        self.state = ApplianceState.STARTING
        self.was_ready = False
        """It has come up: what happens now is no start any more, but a replacement."""

    def judge(
        self,
        stage: Stage,
        workers: Iterable[WorkerState],
        *,
        accepting: bool,
        alone: bool = False,
        cordoned: bool = False,
    ) -> ApplianceState | None:
        """The state that follows from those of its workers, if it is another one.

        `accepting` says that every transceiver that may take sessions does, `cordoned` that none may, and
        `alone` that other hosts are needed and not known yet, for which no start waits.
        """
        before, self.state = (
            self.state,
            self._state(set(workers), stage, accepting, alone, cordoned),
        )
        return None if self.state is before else self.state

    def _state(
        self, workers: set[WorkerState], stage: Stage, accepting: bool, alone: bool, cordoned: bool
    ) -> ApplianceState:
        if stage is not Stage.RUN:
            return ApplianceState.DRAINING
        if workers == {WorkerState.READY} and (accepting or alone):
            self.was_ready = True
            if not alone:
                return ApplianceState.CORDONED if cordoned else ApplianceState.READY
        if self.was_ready or WorkerState.FAILED in workers:
            return ApplianceState.DEGRADED
        return ApplianceState.STARTING
