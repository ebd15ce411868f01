from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.ids import Endpoint
from config.load import load
from config.model import Config
from config.problems import ConfigError


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, source="t.toml")
    return [str(problem) for problem in caught.value.problems]


def test_nothing_is_the_defaults() -> None:
    assert load("", source="t.toml") == Config()


def test_what_is_written_is_what_counts() -> None:
    config = load(
        '[relay]\nlisten = ["127.0.0.1:4000"]\nflow_idle = 40\n'
        '[ufrag]\nkeys = { a = "/k" }\nmint_with = "a"\n',
        source="t.toml",
    )
    assert config.relay.listen == (Endpoint("127.0.0.1", 4000),)
    assert config.relay.flow_idle == 40.0
    assert config.ufrag.keys == {"a": "/k"}


WORKERS = 'must be "auto" or a whole number, 0 to 256'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[cluster]\nid = 'x'", "2: cluster.id: must be a whole number, got 'x'"),
        ("[cluster]\nid = true", "2: cluster.id: must be a whole number, got true"),
        ("[cluster]\nid = '4'", "2: cluster.id: must be a whole number, got '4'"),
        ("[cluster]\nid = 1.5", "2: cluster.id: must be a whole number, got 1.5"),
        (
            "[cluster]\nid = 2024-01-02",
            "2: cluster.id: must be a whole number, got 2024-01-02",
        ),
        ("[cluster]\nid = -1", "2: cluster.id: must be at least 0, got -1"),
        ("[cluster]\nid = 70000", "2: cluster.id: must be at most 65535, got 70000"),
        ("[relay]\nworkers = 'all'", f"2: relay.workers: {WORKERS}, got 'all'"),
        ("[relay]\nworkers = '4'", f"2: relay.workers: {WORKERS}, got '4'"),
        ("[relay]\nworkers = true", f"2: relay.workers: {WORKERS}, got true"),
        ("[relay]\nworkers = -1", f"2: relay.workers: {WORKERS}, got -1"),
        ("[transceiver]\nworkers = 500", f"2: transceiver.workers: {WORKERS}, got 500"),
        ("[relay]\nflow_idle = '60'", "2: relay.flow_idle: must be a number, got '60'"),
        ("[relay]\nflow_idle = nan", "2: relay.flow_idle: must be at most 3600, got nan"),
        (
            "[relay]\nlisten = '1.2.3.4:5'",
            "2: relay.listen: must be an array, [...], got '1.2.3.4:5'",
        ),
        ("[relay]\nlisten = [5]", '2: relay.listen[0]: must be text like "192.0.2.1:3478" or'),
        (
            "[relay]\nlisten = [['a', 1]]",
            '2: relay.listen[0]: must be text like "192.0.2.1:3478" or',
        ),
        (
            "[relay]\nlisten = [\n '1.2.3.4:5',\n '1.2.3.4:70000',\n]",
            "4: relay.listen[1]: port 70000 is not in 1-65535",
        ),
        ("relay = 5", "1: relay: must be a table, got 5"),
        ("[[relay]]", "1: relay: must be a table, got an array"),
        ("[ufrag]\nkeys = 'a'", "2: ufrag.keys: must be a table, got 'a'"),
        ("[ufrag]\nkeys.a = 5", "2: ufrag.keys.a: must be text in quotes, got 5"),
        (
            "[log]\nlevel = 'loud'",
            "2: log.level: must be debug, info, warning or error, got 'loud'",
        ),
        ("[log]\nlevel = 5", "2: log.level: must be debug, info, warning or error, got 5"),
        (
            "[signaling]\ncors_origins = [5]",
            "2: signaling.cors_origins[0]: must be text in quotes, got 5",
        ),
        ("[rely]", "1: rely: unknown key; did you mean relay?"),
        ("[relay]\nworker = 1", "2: relay.worker: unknown key; did you mean relay.workers?"),
        ("[relay]\nmtu = 1500", "2: relay.mtu: unknown key; did you mean link.mtu?"),
        ("[log]\nzzz = 1", "2: log.zzz: unknown key; known here: level, format"),
        ("zzz = 1", "1: zzz: unknown key; known here: cluster, relay, link,"),
        ("[log]\n'a b' = 1", '2: log."a b": unknown key; known here: level, format'),
        ("[relay]\nworkers = 1\nworkers = 2", "3: Cannot overwrite a value"),
        ("[relay\n", "1: Expected ']' at the end of a table declaration (column 7)"),
        ("\n[relay]\nworkers =\n\n", "3: Invalid value (column 10)"),
        ("a = [1,\n2", "2: Unclosed array"),
        ("a = 1979-02-30", "1: Invalid date or datetime (column 5)"),
    ],
)
def test_one_mistake(text: str, problem: str) -> None:
    (found,) = problems_of(text)
    assert found.startswith(f"t.toml:{problem}")


def test_every_mistake_at_once_in_the_order_of_the_file() -> None:
    text = """
[relay]
max_pending = 100          # more than max_flows: found although other keys are wrong
max_flows = 50
workers = "x"
listen = ["0.0.0.0:70000"]

[ufrag]
mint_with = "b"
keys."a b" = "x"

[extra]
"""
    assert problems_of(text) == [
        "t.toml:3: relay.max_pending: must not exceed relay.max_flows (50), got 100",
        f"t.toml:5: relay.workers: {WORKERS}, got 'x'",
        "t.toml:6: relay.listen[0]: port 70000 is not in 1-65535",
        "t.toml:9: ufrag.mint_with: 'b' names no key; there is 'a b'",
        "t.toml:10: ufrag.keys.\"a b\": key id 'a b' is not one of 0-9, A-Z, a-z",
        (
            "t.toml:12: extra: unknown key; known here: cluster, relay, link, transceiver,"
            " signaling, auth, steering, ufrag, backends, realtime, fleet, redis, supervisor, ops, admin,"
            " log"
        ),
    ]


def test_no_conclusion_rests_on_a_value_that_was_refused() -> None:
    (found,) = problems_of("[ufrag]\nkeys = { a = 5 }\nmint_with = 'a'")
    assert "ufrag.keys.a" in found
    (found,) = problems_of("[relay]\nmax_flows = 'many'\nmax_pending = 100000")
    assert "relay.max_flows" in found


def test_a_huge_value_stays_one_short_line() -> None:
    (found,) = problems_of(f"[link]\naddress = '{'x' * 10_000}'")
    assert len(found) < 200
    (found,) = problems_of(f"[relay]\nworkers = {'9' * 4000}")
    assert "a very large number" in found


def test_values_cannot_move_the_terminal() -> None:
    (found,) = problems_of('[link]\naddress = "\\u001b[2J"')
    assert "\x1b" not in found


# What gets past the syntax often enough to reach the validator.
PIECES = (
    *("[relay]\n", "[[relay]]\n", "[ufrag.keys]\n", "listen = ", "workers = ", "keys = "),
    *("mint_with = ", "log.level = ", "relay.", "ufrag.", "a", "b = 1", "[", "]", "{", "}", ","),
    *("=", ".", "#", "\n", "\r\n", "\t", "\\", "\x00", "é", '"a"', "'b'", '"""c\n"""', "1", "1.5"),
    *("nan", "-inf", "true", "0x1f", "1979-05-27", "07:32:00", '"0.0.0.0:1"', '"[::]:1"'),
)


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=20).map("".join)))
@example("a = " + "[" * 5000 + "]" * 5000)
@example("a = " + "{b=" * 5000 + "1" + "}" * 5000)
@example(f"a = {'9' * 5000}")
@example("a." * 2000 + "b = 1")
@example("relay." + "a." * 2000 + "b = 1")
@example("ufrag.keys = " + "[" * 200 + "]" * 200)
@example("[relay]\nflow_idle = " + "9" * 400)
@example("[signaling]\nlisten = [" + "'" + "0" * 5000 + ":1']")
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    try:
        config = load(text, source="t.toml")
    except ConfigError as error:
        assert error.problems
        assert all("\n" not in str(problem) for problem in error.problems)
    else:
        assert isinstance(config, Config)
