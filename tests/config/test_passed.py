"""What a newer process passes on, an older one understands as far as it can."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.dump import dump
from config.model import Config
from config.passed import parse_kept, parse_passed

HERE: dict[str, Any] = {
    "relay": {"flow_idle": 77.0, "listen": ["127.0.0.1:3478"]},
    "steering": {"sites": [{"name": "fra", "addresses": ["192.0.2.1:3478"]}]},
    "log": {"level": "debug"},
}


def test_of_the_same_version_all_is_known() -> None:
    config = Config.model_validate(HERE)
    assert parse_passed(config.model_dump_json()) == config
    assert parse_kept(dump(config)) == config


def test_what_a_newer_version_has_more_is_left_out() -> None:
    config = Config.model_validate(HERE)
    said = json.loads(config.model_dump_json())
    said["relay"]["wings"] = {"left": [1]}
    said["steering"]["sites"][0]["moon"] = "full"
    said["oracle"] = {"listen": []}
    assert parse_passed(json.dumps(said)) == config
    text = dump(config).replace("[relay]\n", '[relay]\nwings = ["left"]\n')
    assert parse_kept(text + "\n[oracle]\nlisten = []\n") == config


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"relay": 3}',
        '{"relay": {"flow_idle": "long", "wings": 2}}',
        "[" * 5000,
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_passed(text)


@pytest.mark.parametrize(
    "text", ["= damaged", "relay = 3", '[relay]\nflow_idle = "long"\nwings = 2']
)
def test_a_file_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_kept(text)
