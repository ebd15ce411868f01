from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.http.problems import ProblemKind, Refused
from workers.signaling.objects import MAX_DEPTH, merge_objects, parse_object

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (b"", "x: "),
        (b"[1]", "x: "),
        (b'{"a"', "x: "),
        (b'{"a":"\\ud800"}', "x: "),
        (b'{"a":"\xff"}', "x: "),
        (b'{"a":[18446744073709551616]}', "64 bits"),
        (b'{"a":{"b":-9223372036854775809}}', "64 bits"),
        (nested(MAX_DEPTH + 1), f"more than {MAX_DEPTH}"),
        (nested(20_000), "x: "),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", f"more than {MAX_DEPTH}"),
    ],
)
def test_what_could_not_travel_on_is_refused(text: bytes, detail: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_object(text, "x")
    assert refused.value.kind is ProblemKind.MALFORMED_REQUEST
    assert detail in refused.value.detail


def test_the_deepest() -> None:
    parse_object(nested(MAX_DEPTH), "x")


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda it: json.dumps(it).encode()))
def test_what_is_let_through_can_be_carried(text: bytes) -> None:
    try:
        found = parse_object(text, "x")
    except Refused:
        return
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found)) == found
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_the_upper_one_holds() -> None:
    below = {"a": 1, "audio": {"input": {"rate": 8}, "voice": "x"}, "b": {"c": 1}}
    above = {"a": 2, "audio": {"input": {"rate": 16}}, "b": 3, "d": {"e": 4}}
    merged = merge_objects(below, above)
    assert merged == {
        "a": 2,
        "audio": {"input": {"rate": 16}, "voice": "x"},
        "b": 3,
        "d": {"e": 4},
    }
    assert below["audio"] == {"input": {"rate": 8}, "voice": "x"}


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_merging_loses_nothing_of_the_upper_one(
    below: dict[str, object], above: dict[str, object]
) -> None:
    merged = merge_objects(below, above)
    assert merged.keys() == below.keys() | above.keys()
    assert merge_objects(merged, above) == merged
    for name, value in above.items():
        if not isinstance(value, dict):
            assert merged[name] == value
