"""Workers from configuration and CPUs."""

from __future__ import annotations

from appliance.supervisor.core.spec import (
    HostFacts,
    desired_workers,
    new_specs,
    one_more_relay,
)
from config.ids import Role
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


def test_more_of_them_have_the_lowest_free_indices() -> None:
    names = [spec.name for spec in new_specs(Role.TRANSCEIVER, 3, {0, 1, 3})]
    assert names == ["transceiver-2", "transceiver-4", "transceiver-5"]


def test_one_more_relay_is_pinned_like_the_others() -> None:
    host = HostFacts((4, 5))
    present = [s for s in desired_workers(Config(), host) if s.role is Role.RELAY]
    assert [(s.name, s.cpu) for s in one_more_relay(present, host)] == [
        ("relay-0", 4),
        ("relay-1", 5),
        ("relay-2", 4),
    ]
