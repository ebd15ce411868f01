"""Hosts with one kind of worker alone: what they need of others, said all at once."""

from __future__ import annotations

from typing import Any

import pytest

from config.hosts import find_host_contradictions
from config.model import Config

FLEET: dict[str, Any] = {
    "fleet": {"listen": ["10.0.0.1:3480"]},
    "link": {"address": "10.0.0.1", "mtu": 1372},
    "ufrag": {"keys": {"a": "/key"}},
}


def found(config: dict[str, Any]) -> list[str]:
    findings = find_host_contradictions(Config.model_validate(config))
    return sorted(".".join(map(str, finding.path)) for finding in findings)


@pytest.mark.parametrize(
    "config",
    [
        {"relay": {"workers": 0, "advertise": ["203.0.113.7:3478"]}, **FLEET},
        {"transceiver": {"workers": 0}, **FLEET},
        {
            "transceiver": {"workers": 0},
            "cluster": {"others": {7: ["10.7.0.1:3479"]}},
            "link": {"address": "10.0.0.1", "mtu": 1372},
        },
    ],
    ids=["transceivers", "relays", "global relays"],
)
def test_hosts_of_one_kind(config: dict[str, Any]) -> None:
    assert found(config) == []


def test_a_host_without_any_worker_is_none() -> None:
    assert found({"relay": {"workers": 0}, "transceiver": {"workers": 0}}) == ["relay.workers"]


def test_all_that_a_host_without_relays_lacks() -> None:
    config = {
        "relay": {"workers": 0, "listen_tcp": ["192.0.2.2:443"]},
        "cluster": {
            "others": {7: ["127.0.0.1:3479"]},
            "ingress": "127.0.0.1:3479",
            "global_relays": ["127.0.0.1"],
        },
    }
    assert found(config) == [
        "cluster.ingress",
        "cluster.others",
        "relay.advertise",
        "relay.listen_tcp",
        "relay.workers",
    ]


def test_all_that_a_host_without_transceivers_lacks() -> None:
    config = {"transceiver": {"workers": 0}, "realtime": {"url": "wss://realtime.example/"}}
    assert found(config) == ["realtime.url", "transceiver.workers"]
