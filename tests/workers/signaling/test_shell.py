"""What of the configuration and of the machine decides who is let in, and where calls go."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from config.model import Config
from workers.signaling.shell import (
    RESERVED_DESCRIPTORS,
    beyond_loopback,
    connections_within,
    make_rules,
)


@pytest.mark.parametrize(
    ("wanted", "descriptors", "allowed"),
    [
        (2000, 65_536, 2000),
        (2000, 1024, 1024 - RESERVED_DESCRIPTORS),
        (2000, RESERVED_DESCRIPTORS, 1),
        (5, 1024, 5),
    ],
)
def test_the_descriptors_we_live_on_are_kept(wanted: int, descriptors: int, allowed: int) -> None:
    assert connections_within(wanted, descriptors) == allowed


def test_calls_may_go_to_every_back_end_that_there_is() -> None:
    settings = {
        "backends": {"endpoints": {"agent": ["ipc:///a"]}, "default": "agent"},
        "transceiver": {"max_duration": 60.0, "idle_timeout": 5.0},
        "realtime": {"url": "wss://example.org/v1/realtime"},
    }
    rules = make_rules(Config.model_validate(settings))
    assert rules.default == "agent"
    assert rules.backends == {"echo", "echo-pcm", "agent", "realtime"}
    assert (rules.max_duration, rules.idle_timeout) == (60.0, 5.0)
    assert "realtime" not in make_rules(Config()).backends


def test_what_others_can_reach() -> None:
    near = Endpoint("127.0.0.1", 8080), Endpoint("::1", 8080), Endpoint("127.8.0.1", 1)
    assert beyond_loopback(near) == ""
    assert beyond_loopback((*near, Endpoint("0.0.0.0", 80))) == "0.0.0.0:80"
    assert beyond_loopback([Endpoint("::", 80), Endpoint("192.0.2.1", 1)]) == "[::]:80, 192.0.2.1:1"
