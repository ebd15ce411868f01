"""What a changed key takes: every key has an answer, and a merge takes just what it should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.change import EFFECTS, Change, Effect, changes, keys, merge
from config.model import Config


def changed(key: str, value: object) -> Config:
    section, name = key.split(".")
    return Config.model_validate({section: {name: value}})


def test_every_key_has_an_effect_and_no_other() -> None:
    assert sorted(EFFECTS) == sorted(keys())


def test_nothing_differs_from_itself() -> None:
    assert changes(Config(), Config()) == ()


@pytest.mark.parametrize(
    ("key", "value", "effect", "old"),
    [
        ("relay.flow_idle", 90.0, Effect.ROLL_WORKERS, "60.0"),
        ("relay.receive_buffer", 65536, Effect.LIVE, "4194304"),
        ("relay.listen", ["127.0.0.1:9"], Effect.RESTART, '["0.0.0.0:3478", "[::]:3478"]'),
        ("ufrag.keys", {"0": "/k"}, Effect.ROLL_WORKERS, "{}"),
        ("supervisor.spares", False, Effect.LIVE, "true"),
    ],
)
def test_a_change_is_named_with_both_values(
    key: str, value: object, effect: Effect, old: str
) -> None:
    (change,) = changes(Config(), changed(key, value))
    assert (change.key, change.effect, change.old) == (key, effect, old)
    assert change.new != old


def test_a_change_that_needs_a_restart_waits_for_it() -> None:
    new = Config.model_validate(
        {
            "relay": {"flow_idle": 90.0, "workers": 7, "max_flows": 16},
            "supervisor": {"drain_timeout": 1.0},
        }
    )
    merged = merge(Config(), new, (Effect.LIVE, Effect.ROLL_WORKERS))
    assert [change.key for change in changes(Config(), merged)] == [
        "relay.workers",
        "relay.flow_idle",
        "supervisor.drain_timeout",
    ]
    assert changes(merged, new) == (Change("relay.max_flows", Effect.RESTART, "65536", "16"),)


@pytest.mark.parametrize("key", ["relay.workers", "transceiver.workers"])
def test_a_kind_of_worker_comes_or_goes_at_a_restart_alone(key: str) -> None:
    none, some = changed(key, 0), changed(key, 3)
    for old, new in ((none, some), (some, none)):
        (change,) = changes(old, new)
        assert change.effect is Effect.RESTART
        assert merge(old, new, (Effect.LIVE, Effect.ROLL_WORKERS)) == old
    (change,) = changes(some, changed(key, "auto"))
    assert change.effect is Effect.LIVE


@given(
    st.floats(35, 3600), st.integers(0, 256), st.floats(0, 100), st.sets(st.sampled_from(Effect))
)
def test_a_merge_leaves_just_the_other_changes(
    idle: float, workers: int, drain: float, effects: set[Effect]
) -> None:
    new = Config.model_validate(
        {
            "relay": {"flow_idle": idle, "workers": workers},
            "supervisor": {"drain_timeout": drain},
        }
    )
    merged = merge(Config(), new, effects)
    assert {c.effect for c in changes(Config(), merged)} <= effects
    assert not {c.effect for c in changes(merged, new)} & effects
    assert merge(Config(), new, tuple(Effect)) == new
