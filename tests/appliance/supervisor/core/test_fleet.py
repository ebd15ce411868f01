"""Workers come and go; the configuration is everybody's."""

from __future__ import annotations

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import HostFacts, WorkerSpec, desired_workers, worker_name
from config.ids import Role, WorkerName
from config.model import Config


def test_workers_by_role_and_name() -> None:
    config = Config()
    fleet = Fleet(config, desired_workers(config, HostFacts((0, 1))))
    assert [worker.name for worker in fleet.of(Role.RELAY)] == ["relay-0", "relay-1"]
    first, second = fleet.of(Role.RELAY)
    new = fleet.add(WorkerSpec(worker_name(Role.RELAY, 2), Role.RELAY, 2), config)
    assert fleet.get(WorkerName("relay-2")) is new
    second.retire_by = Goal.DRAIN
    assert fleet.staying(Role.RELAY) == [first, new]
    assert fleet.of(Role.RELAY) == [first, second, new]
    fleet.remove(second)
    assert fleet.get(second.name) is None
    assert len(list(fleet)) == 6


def test_a_configuration_is_for_all_that_are_there() -> None:
    old, new = Config(), Config.model_validate({"relay": {"flow_idle": 90.0}})
    fleet = Fleet(old, desired_workers(old, HostFacts((0,))))
    fleet.adopt(new)
    assert fleet.config is new
    assert {worker.config.relay.flow_idle for worker in fleet} == {90.0}
