"""Stages go forward, and each worker is brought to its goal by the gentlest step that does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.core.lifecycle import HAS_PROCESS, WorkerState
from appliance.supervisor.core.plan import Action, Goal, Stage, goal_of, next_stage, plan
from config.ids import Role

RUN, DRAIN, STOP = Goal.RUN, Goal.DRAIN, Goal.STOP


@pytest.mark.parametrize(
    ("goal", "state", "asked", "due", "action"),
    [
        (RUN, WorkerState.STOPPED, RUN, False, Action.SPAWN),
        (RUN, WorkerState.BACKOFF, RUN, False, None),
        (RUN, WorkerState.BACKOFF, RUN, True, Action.SPAWN),
        (RUN, WorkerState.FAILED, RUN, True, Action.SPAWN),
        (RUN, WorkerState.READY, RUN, True, None),
        (DRAIN, WorkerState.READY, RUN, False, Action.DRAIN),
        (DRAIN, WorkerState.DRAINING, RUN, False, Action.DRAIN),  # by itself; now with a deadline
        (DRAIN, WorkerState.DRAINING, DRAIN, False, None),
        (STOP, WorkerState.DRAINING, DRAIN, False, Action.STOP),
        (STOP, WorkerState.DRAINING, STOP, False, None),
        (STOP, WorkerState.STARTING, RUN, False, Action.KILL),
        (DRAIN, WorkerState.BACKOFF, RUN, True, Action.RETIRE),
        (STOP, WorkerState.STOPPED, STOP, False, None),
    ],
)
def test_the_next_step(
    goal: Goal, state: WorkerState, asked: Goal, due: bool, action: Action | None
) -> None:
    assert plan(goal, state, asked, due=due) is action


def test_relays_run_until_everything_else_is_gone() -> None:
    for stage in (Stage.DRAIN_TRANSCEIVERS, Stage.DRAIN_SIGNALING):
        assert goal_of(stage, Role.RELAY) is RUN
    assert goal_of(Stage.DRAIN_TRANSCEIVERS, Role.SIGNALING) is RUN


def test_the_fleet_says_that_a_relay_lives_until_it_does_not() -> None:
    assert goal_of(Stage.DRAIN_RELAYS, Role.RELAY) is Goal.DRAIN
    assert goal_of(Stage.DRAIN_RELAYS, Role.FLEET) is RUN


@given(st.sampled_from(Stage), st.sets(st.sampled_from(Role)))
def test_stages_only_go_forward(stage: Stage, running: set[Role]) -> None:
    order = [
        Stage.RUN,
        Stage.DRAIN_TRANSCEIVERS,
        Stage.DRAIN_SIGNALING,
        Stage.DRAIN_RELAYS,
        Stage.STOP_ALL,
        Stage.DONE,
    ]
    following = next_stage(stage, running)
    assert order.index(following) - order.index(stage) in (0, 1)
    if following is Stage.DONE and stage is not Stage.DONE:
        assert not running


@given(st.sampled_from(Goal), st.sampled_from(WorkerState), st.sampled_from(Goal), st.booleans())
def test_nothing_is_started_that_should_not_run(
    goal: Goal, state: WorkerState, asked: Goal, due: bool
) -> None:
    action = plan(goal, state, asked, due=due)
    if action is not None and action.value == "spawn":
        assert goal is Goal.RUN
        assert state not in HAS_PROCESS
    if action is not None and action.value in ("drain", "stop", "kill"):
        assert goal is not Goal.RUN
        assert state in HAS_PROCESS
