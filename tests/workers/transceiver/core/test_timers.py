"""The heap of deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.timers import MIN_SLACK, Timers


def test_due_in_order_and_once() -> None:
    timers: Timers[str] = Timers()
    assert timers.next() is None
    for key, deadline in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        timers.set(key, deadline)
    assert timers.next() == 1.0
    assert timers.due(0.5) == []
    assert timers.due(2.0) == ["a", "b"]
    assert timers.next() == 3.0
    assert timers.due(2.5) == []


def test_earlier_counts_at_once_and_later_is_for_the_key_to_say() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 5.0)
    timers.set("a", 3.0)
    assert timers.next() == 3.0
    timers.set("a", 9.0)
    assert timers.due(4.0) == ["a"]
    assert timers.next() is None
    timers.set("a", 9.0)
    assert timers.next() == 9.0


def test_removed_keys_are_never_due() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.remove("a")
    timers.remove("nobody")
    assert timers.due(9.0) == []
    assert len(timers) == 0


def test_the_heap_does_not_grow_with_what_no_longer_holds() -> None:
    timers: Timers[str] = Timers()
    for n in range(10_000):
        timers.set("a", 20_000.0 - n)
    assert len(timers._heap) <= MIN_SLACK + 3
    assert timers.due(30_000.0) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50))), st.integers(0, 60))
def test_every_key_is_due_at_its_earliest_deadline(sets: list[tuple[int, int]], now: int) -> None:
    timers: Timers[int] = Timers()
    earliest: dict[int, int] = {}
    for key, deadline in sets:
        timers.set(key, deadline)
        earliest[key] = min(deadline, earliest.get(key, deadline))
    assert timers.next() == min(earliest.values(), default=None)
    due = timers.due(now)
    assert set(due) == {key for key, deadline in earliest.items() if deadline <= now}
    assert [earliest[key] for key in due] == sorted(earliest[key] for key in due)
