"""Before the first success: a role of which no worker can start is the operator's to mend."""

from __future__ import annotations

from typing import Final

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Finished
from appliance.supervisor.core.lifecycle import EXIT_CONFIG, WorkerState
from appliance.supervisor.core.spec import ONLOOKERS
from config.ids import Role

EXIT_FAILED: Final = 70


def failed_start(fleet: Fleet) -> Finished | None:
    """How the appliance ends, if it cannot come up."""
    for role in set(Role) - ONLOOKERS:
        workers = fleet.of(role)
        if workers and all(w.life.state is WorkerState.FAILED for w in workers):
            wrong = any(w.life.misconfigured for w in workers)
            why = f"{workers[0].name} {workers[0].life.why}"
            return Finished(EXIT_CONFIG if wrong else EXIT_FAILED, why)
    return None
