"""The machine of one worker: the table is complete, and nothing moves beside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.core.lifecycle import (
    BACKOFF_CAP,
    EXIT_CONFIG,
    FAILED_RETRY,
    FREE_CRASHES,
    HAS_PROCESS,
    HEALTHY_AFTER,
    HEARTBEAT_TIMEOUT,
    TRANSITIONS,
    Lifecycle,
    WorkerState,
)
from appliance.supervisor.core.plan import Goal, plan


def test_the_table_names_every_state() -> None:
    assert set(TRANSITIONS) == set(WorkerState)
    reachable = {WorkerState.STOPPED}.union(*TRANSITIONS.values())
    assert reachable == set(WorkerState)


def test_every_state_without_a_process_leads_to_a_start() -> None:
    for state in set(WorkerState) - HAS_PROCESS:
        assert WorkerState.STARTING in TRANSITIONS[state]


def test_a_reason_to_kill_is_given_once() -> None:
    life = Lifecycle()
    life.spawn(0.0)
    assert life.overdue(19.9) == ""
    assert life.overdue(20.0) == "not ready within 20 s"
    assert life.overdue(21.0) == ""
    assert life.deadline is None


def ready(now: float = 0.0) -> Lifecycle:
    life = Lifecycle()
    life.spawn(now)
    life.ready(now)
    return life


def test_a_heartbeat_prolongs_and_silence_ends() -> None:
    life = ready()
    life.heard(5.0)
    assert life.overdue(5.0 + HEARTBEAT_TIMEOUT - 0.1) == ""
    assert life.overdue(5.0 + HEARTBEAT_TIMEOUT) == "no heartbeat for 8 s"


def test_who_drains_for_too_long_is_killed_however_it_beats() -> None:
    life = ready()
    life.drain(1.0, until=3.0)
    life.heard(2.9)
    assert life.deadline == 3.0
    assert life.overdue(3.0) == "did not end in time"


def test_a_wrong_configuration_is_not_tried_again_until_it_changes() -> None:
    life = Lifecycle()
    life.spawn(0.0)
    life.exited("exit code 78", EXIT_CONFIG, 1.0, wanted=True)
    assert (life.state, life.deadline, life.misconfigured) == (WorkerState.FAILED, None, True)
    life.hasten(50.0)
    assert (life.deadline, life.misconfigured) == (50.0, False)


def test_crashes_are_answered_at_once_then_slowly_and_forgiven_after_good_service() -> None:
    life = ready()
    for _ in range(FREE_CRASHES):
        life.exited("crash", 70, 0.0, wanted=True)
        assert life.deadline == 0.0
        life.spawn(0.0)
        life.ready(0.0)
    life.exited("crash", 70, 0.0, wanted=True)
    assert life.deadline is not None
    assert life.deadline > 0.0
    life.spawn(1.0)
    life.ready(1.0)
    life.exited("crash", 70, 1.0 + HEALTHY_AFTER, wanted=True)
    assert life.deadline == 1.0 + HEALTHY_AFTER


steps = st.lists(
    st.tuples(
        st.sampled_from(["ready", "exit", "config", "heard", "drain", "overdue", "act"]),
        st.floats(0, 100),
        st.sampled_from(Goal),
    ),
    max_size=60,
)


@given(steps)
def test_moves_only_along_the_table_and_never_waits_for_ever(
    script: list[tuple[str, float, Goal]],
) -> None:
    """`_enter` asserts the table; here any order of events and goals is tried against it."""
    life, now, asked = Lifecycle(), 0.0, Goal.RUN
    for what, seconds, goal in script:
        now += seconds
        match what:
            case "ready" if life.state is WorkerState.STARTING:
                life.ready(now)
            case "exit":
                life.exited("gone", 70, now, wanted=goal is Goal.RUN)
            case "config":
                life.exited("gone", 78, now, wanted=goal is Goal.RUN)
            case "heard":
                life.heard(now)
            case "drain" if life.state in (WorkerState.READY, WorkerState.DRAINING):
                life.drain(now, until=None)
            case "overdue":
                life.overdue(now)
            case "act":
                due = life.deadline is not None and now >= life.deadline
                action = plan(goal, life.state, asked, due=due)
                if action is not None and action.value == "spawn":
                    life.spawn(now)
                    asked = Goal.RUN
                elif action is not None and action.value == "retire":
                    life.retire(now)
                elif action is not None:
                    life.drain(now, until=now + 3)
                    asked = goal
            case _:
                pass
        match life.state:
            case WorkerState.BACKOFF:
                assert life.deadline is not None
                assert life.deadline <= now + BACKOFF_CAP
            case WorkerState.FAILED:
                assert life.why
                assert life.misconfigured or life.deadline is not None
                assert life.deadline is None or life.deadline <= now + FAILED_RETRY
            case WorkerState.STOPPED:
                assert life.deadline is None
            case _:
                pass
