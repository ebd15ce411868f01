from __future__ import annotations

import tomllib
from string import ascii_letters, digits

from hypothesis import given
from hypothesis import strategies as st

from config.dump import dump
from config.load import load
from config.model import Config

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
KEYS = st.dictionaries(st.sampled_from(ascii_letters + digits), TEXT, max_size=4)


def test_the_defaults_come_out_whole() -> None:
    assert load(dump(Config()), source="dump") == Config()
    assert set(tomllib.loads(dump(Config()))) == set(Config.model_fields)


@given(
    KEYS,
    st.floats(35, 3600),
    st.integers(0, 65535).filter(lambda port: port != 3478),
    st.booleans(),
)
def test_what_is_dumped_loads_to_the_same(
    keys: dict[str, str], idle: float, port: int, debug: bool
) -> None:
    config = Config.model_validate(
        {
            "ufrag": {"keys": keys, "mint_with": min(keys, default="")},
            "relay": {"flow_idle": idle},
            "signaling": {"listen": [f"[::1]:{port}"]},
            "log": {"level": "debug" if debug else "info"},
        }
    )
    assert load(dump(config), source="dump") == config


@given(TEXT)
def test_odd_key_ids_are_quoted(key: str) -> None:
    config = Config.model_validate({"ufrag": {"keys": {key: "x"}}})
    assert tomllib.loads(dump(config))["ufrag"]["keys"] == {key: "x"}
