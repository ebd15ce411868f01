"""What should be (a goal per role, by stage) against what is (a state per worker): the next actions.

    RUN --drain--> DRAIN_TRANSCEIVERS --all gone--> DRAIN_SIGNALING --gone--> DRAIN_RELAYS
     |                     |                              |                        | gone
     +---------------------+--------- stop ---------------+------------------------+--> STOP_ALL --> DONE

The order of a drain follows the packets: signaling refuses new sessions from its first moment (it is told
so, but keeps serving hang-ups), transceivers finish their sessions, while the appliance's own back end goes
on answering them, and relays go last because until then somebody's media runs through them. They drain,
too: sessions of other hosts move to other relays meanwhile, and the fleet goes on saying that this one
lives. A relay that dies before that is still replaced.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final

from appliance.supervisor.core.lifecycle import WorkerState
from config.ids import Role


class Goal(Enum):
    """What a worker should do."""

    RUN = "run"
    DRAIN = "drain"
    STOP = "stop"


class Stage(Enum):
    """What the appliance is doing as a whole."""

    RUN = "run"
    DRAIN_TRANSCEIVERS = "drain transceivers"
    DRAIN_SIGNALING = "drain signaling"
    DRAIN_RELAYS = "drain relays"
    STOP_ALL = "stop all"
    DONE = "done"


class Action(Enum):
    """One step towards the goal of a worker."""

    SPAWN = "spawn"
    DRAIN = "drain"
    STOP = "stop"
    KILL = "kill"
    RETIRE = "retire"


_R, _D, _S = Goal.RUN, Goal.DRAIN, Goal.STOP
_GOALS: Final[dict[Stage, tuple[Goal, ...]]] = {
    #                          relay  transceiver  signaling  realtime  fleet  telemetry
    Stage.RUN:                (_R,    _R,          _R,        _R,       _R,    _R),
    Stage.DRAIN_TRANSCEIVERS: (_R,    _D,          _R,        _R,       _R,    _R),
    Stage.DRAIN_SIGNALING:    (_R,    _S,          _D,        _S,       _R,    _R),
    Stage.DRAIN_RELAYS:       (_D,    _S,          _S,        _S,       _R,    _R),
    Stage.STOP_ALL:           (_S,    _S,          _S,        _S,       _S,    _S),
    Stage.DONE:               (_S,    _S,          _S,        _S,       _S,    _S),
}  # fmt: skip
_COLUMN: Final = {
    Role.RELAY: 0,
    Role.TRANSCEIVER: 1,
    Role.SIGNALING: 2,
    Role.REALTIME: 3,
    Role.FLEET: 4,
    Role.TELEMETRY: 5,
}
_AFTER: Final[dict[Stage, tuple[frozenset[Role], Stage]]] = {
    # this stage is over when no worker of these roles has a process; the next one is that
    Stage.DRAIN_TRANSCEIVERS: (frozenset({Role.TRANSCEIVER}), Stage.DRAIN_SIGNALING),
    Stage.DRAIN_SIGNALING: (frozenset({Role.SIGNALING}), Stage.DRAIN_RELAYS),
    Stage.DRAIN_RELAYS: (frozenset({Role.RELAY}), Stage.STOP_ALL),
    Stage.STOP_ALL: (frozenset(Role), Stage.DONE),
}


def goal_of(stage: Stage, role: Role) -> Goal:
    """What workers of a role should do in a stage."""
    return _GOALS[stage][_COLUMN[role]]


def next_stage(stage: Stage, running: Collection[Role]) -> Stage:
    """The stage that follows, or the same; `running` are the roles that still have workers not STOPPED."""
    over = _AFTER.get(stage)
    return over[1] if over and over[0].isdisjoint(running) else stage


def plan(goal: Goal, state: WorkerState, asked: Goal, *, due: bool) -> Action | None:
    """The next step for one worker, or None if there is nothing to do but wait.

    `asked` is what its process was told last, `due` whether the waiting time of BACKOFF or FAILED is over.
    """
    match state:
        case WorkerState.STOPPED:
            return Action.SPAWN if goal is Goal.RUN else None
        case WorkerState.BACKOFF | WorkerState.FAILED:
            if goal is not Goal.RUN:
                return Action.RETIRE
            return Action.SPAWN if due else None
        case WorkerState.STARTING:
            # It serves nobody yet and may not be listening: there is nothing to finish.
            return None if goal is Goal.RUN else Action.KILL
        case WorkerState.RELEASING:
            return None  # for a second at most
        case WorkerState.READY | WorkerState.DRAINING:
            if goal is Goal.STOP and asked is not Goal.STOP:
                return Action.STOP
            return Action.DRAIN if goal is Goal.DRAIN and asked is Goal.RUN else None
