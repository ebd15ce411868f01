from __future__ import annotations

from typing import Any

import pytest

from appliance.supervisor.core.patience import LEAVES, SIGNALING_DRAIN, patience
from appliance.supervisor.core.plan import Goal, Stage
from appliance.supervisor.core.spec import WorkerSpec, worker_name
from appliance.supervisor.core.worker import Worker
from config.ids import Role
from config.model import Config

CONFIG = Config.model_validate(
    {
        "supervisor": {"drain_timeout": 3.0, "roll_timeout": 700.0},
        "transceiver": {"consent_timeout": 11.0},
    }
)


@pytest.mark.parametrize(
    ("role", "stage", "leaves", "seconds"),
    [
        (Role.SIGNALING, Stage.RUN, True, SIGNALING_DRAIN),
        (Role.SIGNALING, Stage.DRAIN_SIGNALING, False, SIGNALING_DRAIN),
        (Role.RELAY, Stage.RUN, True, 11.0),
        (Role.RELAY, Stage.DRAIN_TRANSCEIVERS, True, 11.0),
        (Role.RELAY, Stage.DRAIN_RELAYS, True, 0.0),
        (Role.RELAY, Stage.DRAIN_RELAYS, False, 0.0),
        (Role.TRANSCEIVER, Stage.RUN, True, 700.0),
        (Role.TRANSCEIVER, Stage.DRAIN_TRANSCEIVERS, True, 3.0),
        (Role.TRANSCEIVER, Stage.DRAIN_TRANSCEIVERS, False, 3.0),
        (Role.REALTIME, Stage.RUN, True, 3.0),
    ],
)
def test_seconds(role: Role, stage: Stage, leaves: bool, seconds: float) -> None:
    worker = Worker(WorkerSpec(worker_name(role, 0), role, 0), CONFIG)
    worker.retire_by = Goal.DRAIN if leaves else Goal.RUN
    assert patience(worker, stage, CONFIG, 1.5) == seconds
    assert LEAVES.keys() == set(Role)


@pytest.mark.parametrize(
    "more", [{"fleet": {"listen": ["127.0.0.1:1"]}}, {"cluster": {"others": {7: ["127.0.0.1:1"]}}}]
)
def test_relays_that_carry_sessions_of_other_hosts_have_what_is_left(more: dict[str, Any]) -> None:
    config = Config.model_validate(more)
    worker = Worker(WorkerSpec(worker_name(Role.RELAY, 0), Role.RELAY, 0), config)
    assert patience(worker, Stage.DRAIN_RELAYS, config, 1.5) == 1.5
