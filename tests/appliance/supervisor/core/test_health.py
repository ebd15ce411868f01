"""One word for the whole appliance."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.health import appliance_state
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.plan import Stage

READY, STARTING, FAILED = WorkerState.READY, WorkerState.STARTING, WorkerState.FAILED


@pytest.mark.parametrize(
    ("stage", "workers", "accepting", "was_ready", "state"),
    [
        (Stage.RUN, [READY, READY], True, False, "ready"),
        (Stage.RUN, [READY, READY], False, False, "starting"),
        (Stage.RUN, [READY, STARTING], True, False, "starting"),
        (Stage.RUN, [READY, STARTING], True, True, "degraded"),
        (Stage.RUN, [READY, FAILED], True, False, "degraded"),
        (Stage.RUN, [READY, READY], False, True, "degraded"),
        (Stage.DRAIN_TRANSCEIVERS, [READY, READY], True, True, "draining"),
        (Stage.STOP_ALL, [READY], True, False, "draining"),
    ],
)
def test_state(
    stage: Stage, workers: list[WorkerState], accepting: bool, was_ready: bool, state: str
) -> None:
    found = appliance_state(stage, workers, accepting=accepting, was_ready=was_ready)
    assert found.value == state


def test_one_that_is_cordoned_is_not_called_ready_and_its_faults_are_told_first() -> None:
    for workers, state in (([READY], "cordoned"), ([READY, FAILED], "degraded")):
        found = appliance_state(Stage.RUN, workers, accepting=True, was_ready=True, cordoned=True)
        assert found.value == state
