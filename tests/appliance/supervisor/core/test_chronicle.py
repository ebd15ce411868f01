"""Events by number: what is next, what is newest, what is gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.supervisor.core.chronicle import MOST, Chronicle
from ipc.messages.events import EventKind, OpsEvent, WatchEvents


def event(session: str = "", worker: str = "", detail: str = "") -> OpsEvent:
    return OpsEvent(0, 1.0, EventKind.SESSION, "connected", worker, session, detail)


def filled(number: int, kept: int = 10) -> Chronicle:
    chronicle = Chronicle(kept)
    for n in range(number):
        chronicle.add(event(f"s{n % 2}", f"w{n % 3}"))
    return chronicle


def serials(chronicle: Chronicle, request: WatchEvents) -> tuple[list[int], int, int]:
    found = chronicle.read(request)
    return [e.serial for e in found.events], found.lost, found.serial


def test_the_newest_come_in_order() -> None:
    assert serials(filled(4), WatchEvents(limit=3)) == ([2, 3, 4], 0, 4)
    assert serials(filled(0), WatchEvents()) == ([], 0, 0)


def test_what_follows_a_number() -> None:
    assert serials(filled(6), WatchEvents(after=4)) == ([5, 6], 0, 6)
    assert serials(filled(6), WatchEvents(after=6)) == ([], 0, 6)
    assert serials(filled(6), WatchEvents(after=0, limit=2)) == ([1, 2], 0, 2)


def test_what_is_gone_is_counted() -> None:
    assert serials(filled(25), WatchEvents(after=12)) == (list(range(16, 26)), 3, 25)
    assert serials(filled(25), WatchEvents(after=15)) == (list(range(16, 26)), 0, 25)


def test_a_number_of_another_appliance_begins_at_the_beginning() -> None:
    assert serials(filled(3), WatchEvents(after=99)) == ([1, 2, 3], 0, 3)
    assert serials(filled(3), WatchEvents(after=-5)) == ([1, 2, 3], 0, 3)


def test_of_one_session_or_worker_only() -> None:
    assert serials(filled(6), WatchEvents(after=0, session="s1")) == ([2, 4, 6], 0, 6)
    assert serials(filled(6), WatchEvents(session="s1", worker="w0", limit=9)) == ([4], 0, 6)
    assert serials(filled(6), WatchEvents(after=2, session="nobody")) == ([], 0, 6)
    assert serials(filled(6), WatchEvents(after=0, session="s1", limit=1)) == ([2], 0, 2)


def test_replies_and_texts_are_bounded() -> None:
    chronicle = filled(3 * MOST, kept=5 * MOST)
    assert len(chronicle.read(WatchEvents(after=0, limit=10**9)).events) == MOST
    assert chronicle.read(WatchEvents(limit=-1)).events == ()
    chronicle.add(event(detail="x" * 10_000))
    assert len(chronicle.read(WatchEvents(limit=1)).events[0].detail) == 400
    assert chronicle.serial == 3 * MOST + 1


@given(st.lists(st.one_of(st.none(), st.integers(1, 7)), max_size=60), st.integers(1, 12))
def test_who_keeps_asking_misses_nothing_that_is_not_said_to_be_lost(
    steps: list[int | None], kept: int
) -> None:
    """None: something happens; a number: the watcher takes so many at most."""
    chronicle = Chronicle(kept)
    at = seen = lost = 0
    for step in [*steps, 100]:
        if step is None:
            chronicle.add(event())
            continue
        found = chronicle.read(WatchEvents(after=at, limit=step))
        numbers = [e.serial for e in found.events]
        assert numbers == list(range(at + found.lost + 1, at + found.lost + 1 + len(numbers)))
        at, seen, lost = found.serial, seen + len(numbers), lost + found.lost
    assert seen + lost == chronicle.serial
