"""A role that cannot start ends the appliance, with the reason and the exit code."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.failed_start import EXIT_FAILED, failed_start
from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Finished
from appliance.supervisor.core.lifecycle import EXIT_CONFIG, MAX_BOOT_FAILURES
from appliance.supervisor.core.spec import HostFacts, desired_workers
from config.ids import Role
from config.model import Config


@pytest.mark.parametrize("code", [EXIT_CONFIG, 70])
def test_only_when_none_of_a_role_can_start(code: int) -> None:
    config = Config()
    fleet = Fleet(config, desired_workers(config, HostFacts((0, 1))))
    relays = fleet.of(Role.RELAY)
    assert len(relays) == 2
    for relay in relays:
        assert failed_start(fleet) is None
        for now in range(MAX_BOOT_FAILURES):
            if relay.life.state.value != "failed":
                relay.life.spawn(float(now))
                relay.life.exited("exit code", code, float(now), wanted=True)
    outcome = failed_start(fleet)
    assert isinstance(outcome, Finished)
    assert outcome.code == (EXIT_CONFIG if code == EXIT_CONFIG else EXIT_FAILED)
    assert outcome.why.startswith("relay-0 ")
