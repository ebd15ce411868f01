"""No two of what listens on TCP in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from config.doors import tcp_doors
from config.load import load
from config.model import Config
from config.problems import ConfigError

CLIENT: Final = 'clients = { ada = "' + "a" * 40 + '" }'
DOORS: Final[dict[str, Callable[[str], str]]] = {
    "signaling.listen": lambda at: f'[signaling]\nlisten = ["{at}"]\n',
    "ops.listen": lambda at: f'[ops]\nlisten = ["{at}"]\n',
    "admin.listen": lambda at: f'[admin]\nlisten = ["{at}"]\n{CLIENT}\n',
    "relay.listen_tcp": lambda at: (
        f'[relay]\nlisten = ["192.0.2.9:1"]\ntcp = true\nlisten_tcp = ["{at}"]\n'
    ),
}
PAIRS: Final = [(a, b) for index, a in enumerate(DOORS) for b in [*DOORS][index + 1 :]]


def problems(text: str) -> list[str]:
    try:
        load(text, source="x.toml")
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize(
    ("here", "there"), [("127.0.0.1:7000", "127.0.0.1:7000"), ("0.0.0.0:7000", "127.0.0.1:7000")]
)
def test_two_in_one_place_are_refused(one: str, other: str, here: str, there: str) -> None:
    (said,) = problems(DOORS[one](here) + DOORS[other](there))
    assert f"{other}[0]" in said
    assert f"{there} is for " in said
    assert f"{one} has {here}" in said


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_beside_each_other_are_fine(one: str, other: str) -> None:
    assert not problems(DOORS[one]("127.0.0.1:7000") + DOORS[other]("127.0.0.1:7001"))
    assert not problems(DOORS[one]("127.0.0.1:7000") + DOORS[other]("127.0.0.2:7000"))


def test_what_the_kernel_chooses_never_collides() -> None:
    text = DOORS["signaling.listen"]("127.0.0.1:0") + DOORS["ops.listen"]("127.0.0.1:0")
    assert not list(tcp_doors(load(text, source="x.toml")))


@pytest.mark.parametrize(("one", "kind"), [("signaling", "transceiver"), ("ops", "relay")])
def test_who_is_on_other_hosts_takes_no_place_here(one: str, kind: str) -> None:
    here = "127.0.0.1:7000"
    config = {one: {"listen": [here]}, "relay": {"listen_tcp": [here]}}
    assert list(tcp_doors(Config.model_validate(config)))
    alone = {**config, kind: {**config.get(kind, {}), "workers": 0}}
    assert not list(tcp_doors(Config.model_validate(alone)))
