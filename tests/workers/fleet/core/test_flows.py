"""What waits to be written: the newest word on each flow, bounded, and never lost in silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Epoch, Route, TransceiverId
from workers.fleet.core import flows as module
from workers.fleet.core.flows import BATCH, KEY_LENGTH, MOST, Behind, encode_route, parse_route


def key(n: int) -> bytes:
    return n.to_bytes(KEY_LENGTH, "big")


def route(n: int) -> Route:
    return Route(ClusterId(1), TransceiverId(2), Epoch(n))


@given(st.integers(0, 65535))
def test_a_route_comes_back(n: int) -> None:
    assert parse_route(encode_route(route(n))) == route(n)


@given(st.none() | st.binary(max_size=9) | st.text(max_size=8) | st.integers())
def test_whatever_else_is_no_route(value: object) -> None:
    found = parse_route(value)
    assert found is None or encode_route(found) == value


def test_the_newest_word_counts() -> None:
    behind = Behind()
    behind.add([(key(1), route(1)), (key(2), route(1))], [])
    behind.add([(key(1), route(2))], [key(2)])
    assert behind.batch() == {key(1): route(2), key(2): None}
    assert len(behind) == 0


def test_what_failed_waits_on_unless_something_newer_is_known() -> None:
    behind = Behind()
    behind.add([(key(1), route(1)), (key(2), route(1))], [])
    batch = behind.batch()
    behind.add([], [key(1)])
    behind.again(batch)
    assert behind.batch() == {key(1): None, key(2): route(1)}


def test_there_is_a_bound_and_what_is_beyond_it_is_counted() -> None:
    behind = Behind()
    behind.add([(key(n), route(1)) for n in range(MOST + 7)], [b"short"])
    assert len(behind) == MOST
    assert behind.counters == {"overflow": 7, "malformed": 1}
    assert len(behind.batch()) == BATCH


def test_what_has_worked_is_counted() -> None:
    behind = Behind()
    behind.written({key(1): route(1), key(2): None, key(3): None})
    assert behind.counters == {"written": 1, "forgotten": 2}
    assert module.KEPT == 7200
