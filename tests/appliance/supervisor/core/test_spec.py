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
        ("telemetry-0", None),
    ]


def test_the_realtime_back_end_is_there_if_it_is_configured() -> None:
    config = Config.model_validate({"realtime": {"url": "ws://127.0.0.1:1/", "workers": 2}})
    specs = desired_workers(config, HostFacts(cpus=(0,)))
    assert [s.name for s in specs][-2:] == ["realtime-0", "realtime-1"]


def test_nobody_listens_for_operators_if_there_is_no_address_for_it() -> None:
    config = Config.model_validate({"ops": {"listen": []}})
    assert "telemetry-0" not in [s.name for s in desired_workers(config, HostFacts(cpus=(0,)))]
