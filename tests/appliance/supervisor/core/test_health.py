"""One word for the whole appliance."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.health import Health
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
    health = Health()
    health.was_ready = was_ready
    health.judge(stage, workers, accepting=accepting)
    assert health.state.value == state


def test_one_that_is_cordoned_is_not_called_ready_and_its_faults_are_told_first() -> None:
    health = Health()
    for workers, state in (([READY], "cordoned"), ([READY, FAILED], "degraded")):
        health.judge(Stage.RUN, workers, accepting=True, cordoned=True)
        assert health.state.value == state


@pytest.mark.parametrize("accepting", [True, False])
def test_nobody_waits_for_other_hosts_to_call_it_a_start(accepting: bool) -> None:
    health = Health()
    assert health.judge(Stage.RUN, [STARTING], accepting=accepting, alone=True) is None
    assert not health.was_ready
    found = health.judge(Stage.RUN, [READY], accepting=accepting, alone=True)
    assert found is not None
    assert (found.value, health.was_ready) == ("degraded", True)
    assert health.judge(Stage.RUN, [READY], accepting=accepting, alone=True) is None
