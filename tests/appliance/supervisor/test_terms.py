"""Which survivors are of use: those that work with what we work with, but for what can be rolled."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.supervisor.keys import Keyring, UfragKeys
from appliance.supervisor.terms import Terms, configuration
from config.ids import Role
from config.model import Config
from ipc.messages.lifecycle import Assignment
from tests.appliance.supervisor.test_recovered import assignment

TERMS = Terms(Config(), Keyring(UfragKeys({"0": b"k" * 16}, "0")))


def born(**changes: Any) -> Assignment:
    like_us = {"config": Config().model_dump_json(), "ufrag_keys": {"0": b"k" * 16}}
    return msgspec.structs.replace(assignment(Role.RELAY), **(like_us | changes))


def config(**sections: dict[str, Any]) -> str:
    return Config.model_validate(sections).model_dump_json()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"config": config(relay={"flow_idle": 77.0})},
        {"ufrag_keys": {"0": b"k" * 16, "older": b"o" * 16}},
        {"config": '{"relay": {"wings": 2}}'},  # a newer version's
    ],
)
def test_these_fit(changes: dict[str, Any]) -> None:
    assert TERMS.misfit(born(**changes)) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": 9}, "was born under version 9"),
        ({"config": config(relay={"max_flows": 4096})}, "works with another relay.max_flows"),
        ({"config": '{"relay": {"datapath": "wings"}}'}, "this version does not know"),
        ({"config": "{"}, "this version does not know"),
        ({"ufrag_keys": {"0": b"x" * 16}}, "ufrag.keys.0"),
    ],
)
def test_these_do_not(changes: dict[str, Any], why: str) -> None:
    assert why in TERMS.misfit(born(**changes))


def test_what_it_serves_by() -> None:
    assert configuration(born()) == Config()
    assert configuration(born(config="{}")) == Config()
    assert configuration(born(config="no")) is None
