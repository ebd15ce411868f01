"""What is planned is no fault; see test_roll.py and test_resize.py for what an alteration does."""

from __future__ import annotations

from appliance.supervisor.core.alteration import Alteration
from appliance.supervisor.core.distribution import Distribution
from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Reloaded, ReloadRequested, Steered
from appliance.supervisor.core.neighbours import Neighbours
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import HostFacts, desired_workers
from config.ids import HostId, Role
from config.model import Config


def test_who_joins_or_leaves_is_planned() -> None:
    fleet = Fleet(Config(), desired_workers(Config(), HostFacts((0, 1, 2))))
    alteration = Alteration(fleet, Distribution(Neighbours(Config(), HostId(""), ())))
    joins, leaves, stays = fleet.of(Role.RELAY)
    joins.joining, leaves.retire_by = True, Goal.DRAIN
    assert [alteration.is_planned(worker) for worker in (joins, leaves, stays)] == [
        True,
        True,
        False,
    ]
    assert not alteration.is_rolled(stays)
    assert alteration.deadline is None


def test_without_a_roll_a_configuration_is_adopted_if_the_appliance_is_able() -> None:
    fleet = Fleet(Config(), ())
    alteration = Alteration(fleet, Distribution(Neighbours(Config(), HostId(""), ())))
    config = Config.model_validate({"supervisor": {"drain_timeout": 1.0}})
    (refused,) = alteration.reload(ReloadRequested(config, ()), able=False)
    assert isinstance(refused, Reloaded)
    assert refused.problem
    assert fleet.config == Config()
    assert alteration.reload(ReloadRequested(config, ()), able=True) == [Reloaded(())]
    assert fleet.config is config
    assert alteration.steered(Steered()) == []
