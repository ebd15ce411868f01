"""What is known of processes that were never born: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor.core.interface import ProcessId, Spawn
from appliance.supervisor.core.spec import HostFacts, desired_workers
from appliance.supervisor.generations import Generations
from appliance.supervisor.keys import load_keys
from appliance.supervisor.outfit import Outfitter
from config.ids import HostId, Role
from config.model import Config, UfragSection
from ipc.handover import HandoverError


def test_a_transceiver_that_could_not_be_given_its_assignment_mints_with_no_key(
    tmp_path: Path,
) -> None:
    config = Config()
    keys, generations = load_keys(UfragSection(), tmp_path), Generations(tmp_path)
    outfitter = Outfitter(
        keys, generations, tmp_path, control="", bus="", host=HostId(""), admin=""
    )
    spec = next(s for s in desired_workers(config, HostFacts((0,))) if s.role is Role.TRANSCEIVER)
    born, unborn = (Spawn(spec, ProcessId(spec.name, n), None, config) for n in (7, 8))
    with outfitter.outfit(born):
        pass
    with pytest.raises(HandoverError), outfitter.outfit(unborn):
        raise HandoverError("it has died already")
    assert outfitter.minting == ((spec.name, "0"),)
