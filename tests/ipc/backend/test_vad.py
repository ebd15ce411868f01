"""What counts as speech: bounds, and what a stranger's session says of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.backend.vad import Vad

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["audio", "input", "turn_detection", "type"]), inner)
    ),
)


def claims(**detection: Any) -> dict[str, Any]:
    detection = {"type": "server_vad", **detection}
    return {"session": {"audio": {"input": {"turn_detection": detection}}}}


@pytest.mark.parametrize(
    "vad", [Vad(), Vad(0, 0, 50), Vad(1.0, 5_000, 10_000), Vad(threshold=0.25)]
)
def test_within_bounds(vad: Vad) -> None:
    assert vad.wrong == ""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(vad), type=Vad) == vad


@pytest.mark.parametrize(
    ("vad", "names"),
    [
        (Vad(1.5), ["threshold"]),
        (Vad(math.nan), ["threshold"]),
        (Vad(math.inf, -1, 10_001), ["threshold", "prefix", "silence"]),
        (Vad(silence=0), ["silence"]),
        (Vad(prefix=1 << 60), ["prefix"]),
    ],
)
def test_beyond_them_all_is_told_at_once(vad: Vad, names: list[str]) -> None:
    assert [each.split()[0] for each in vad.wrong.split("; ")] == names


def test_what_is_not_said_takes_no_bytes() -> None:
    assert msgspec.msgpack.encode(Vad()) == b"\x80"


def test_the_host_says_what_is_not_said() -> None:
    host = Vad(0.5, 300, 500)
    assert Vad().over(host) == host
    assert Vad(0, prefix=0).over(host) == Vad(0, 0, 500)


def test_what_a_client_asks_for() -> None:
    asked = claims(threshold=0.7, prefix_padding_ms=200, silence_duration_ms=350)
    assert Vad.asked(asked) == Vad(0.7, 200, 350)
    first = asked["session"]["audio"]["input"]
    assert Vad.asked({"session": first}) == Vad(0.7, 200, 350), "as in the API's first version"


def test_what_makes_no_sense_is_left_to_the_host() -> None:
    wild = claims(threshold=True, prefix_padding_ms=-1, silence_duration_ms=300)
    assert Vad.asked(wild) == Vad(silence=300)
    assert Vad.asked(claims(threshold=math.nan, prefix_padding_ms=20.5)) is None
    assert Vad.asked(claims(type="semantic_vad", threshold=0.7)) is None
    assert Vad.asked({}) is None


@given(st.dictionaries(st.sampled_from(["session", "other"]), JSON))
def test_no_session_makes_it_wrong(anything: dict[str, Any]) -> None:
    asked = Vad.asked(anything)
    assert asked is None or asked.wrong == ""
