"""Workers from configuration and CPUs."""

from __future__ import annotations

from appliance.supervisor.core.spec import HostFacts, desired_workers
from config.model import Config


def test_one_relay_and_transceiver_per_cpu_and_one_signaling() -> None:
    specs = desired_workers(Config(), HostFacts(cpus=(2, 3, 7)))
    assert [(s.name, s.cpu) for s in specs] == [
        ("relay-0", 2),
        ("relay-1", 3),
        ("relay-2", 7),
        ("transceiver-0", None),
        ("transceiver-1", None),
        ("transceiver-2", None),
        ("signaling-0", None),
    ]
