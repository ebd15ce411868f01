"""Which path carries media."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from workers.transceiver.core.interface import Path
from workers.transceiver.core.paths import MAX_PATHS, MEDIA_SILENCE, SILENCE, Paths, PathState

LOCAL = Endpoint("198.51.100.1", 3478)


def path(number: int) -> Path:
    return Path(Transport.UDP, Endpoint("192.0.2.1", number), LOCAL)


def add(paths: Paths, number: int, *, now: float = 0.0, proven: bool = False) -> PathState:
    state = paths.admit(path(number), now)
    assert state is not None
    paths.verify(state)
    state.proven = proven
    state.active_at = now
    return state


def test_before_nomination_the_newest_carries_media() -> None:
    paths = Paths()
    add(paths, 1)
    assert paths.select(0)
    newest = add(paths, 2)
    assert paths.select(0)
    assert paths.selected is newest
    assert not paths.select(0)


def test_a_path_that_is_only_known_carries_none() -> None:
    paths = Paths()
    paths.admit(path(1), 0)
    assert not paths.select(0)
    assert paths.selected is None


def test_the_last_nomination_wins() -> None:
    paths = Paths()
    first, second = add(paths, 1), add(paths, 2)
    paths.nominate(second)
    paths.nominate(first)
    add(paths, 3)
    paths.select(0)
    assert paths.selected is first


def test_a_proven_path_is_better_than_any_other() -> None:
    paths = Paths()
    proven, nominated = add(paths, 1, proven=True), add(paths, 2)
    paths.nominate(nominated)
    paths.select(0)
    assert paths.selected is proven
    nominated.proven = True
    paths.select(0)
    assert paths.selected is nominated


def test_a_connected_session_moves_only_to_a_proven_path() -> None:
    paths = Paths()
    first = add(paths, 1)
    paths.select(0)
    paths.connected = True
    second = add(paths, 2)
    paths.nominate(second)
    paths.select(0)
    assert paths.selected is first
    second.proven = True
    paths.select(0)
    assert paths.selected is second


@pytest.mark.parametrize(("silence", "moves"), [(SILENCE - 0.1, False), (SILENCE + 0.1, True)])
def test_silence_moves_media_to_a_proven_path_that_is_alive(silence: float, moves: bool) -> None:
    paths = Paths()
    silent, alive = add(paths, 1, proven=True), add(paths, 2, proven=True)
    paths.nominate(silent)
    paths.select(0)
    alive.active_at = silence
    assert paths.select(silence) is moves
    assert paths.selected is (alive if moves else silent)


def test_a_nomination_that_was_lost_stays_lost() -> None:
    paths = Paths()
    silent, alive = add(paths, 1, proven=True), add(paths, 2, proven=True)
    paths.nominate(silent)
    alive.active_at = SILENCE + 1
    paths.select(SILENCE + 1)
    silent.active_at = alive.active_at = SILENCE + 2
    paths.select(SILENCE + 2)
    assert paths.selected is alive


def test_silence_moves_nothing_to_a_path_that_is_unproven_or_silent_too() -> None:
    paths = Paths()
    chosen, unproven, old = add(paths, 1, proven=True), add(paths, 2), add(paths, 3, proven=True)
    paths.nominate(chosen)
    old.active_at = 1
    unproven.active_at = 100
    paths.select(100)
    assert paths.selected is chosen


def test_media_on_another_path_moves_it_sooner() -> None:
    paths = Paths()
    silent, speaking = add(paths, 1, proven=True), add(paths, 2, proven=True)
    paths.nominate(silent)
    paths.select(0)
    now = MEDIA_SILENCE + 0.1
    speaking.active_at = now
    assert not paths.select(now)
    speaking.media_at = now
    assert paths.select(now)


def test_an_unproven_path_gets_three_bytes_for_one() -> None:
    state = PathState(path(1), bytes_received=100)
    assert state.permits(300)
    state.bytes_sent = 250
    assert not state.permits(51)
    state.proven = True
    assert state.permits(10_000)


def test_there_is_room_for_so_many_and_the_oldest_unproven_goes_first() -> None:
    paths = Paths()
    proven = add(paths, 1, proven=True)
    for number in range(2, MAX_PATHS + 1):
        add(paths, number, now=number)
    paths.select(0)
    assert paths.admit(path(99), 50) is not None
    assert paths.get(path(2)) is None
    assert paths.get(path(1)) is proven
    assert len(paths.values()) == MAX_PATHS


def test_proven_paths_make_room_only_when_silent() -> None:
    paths = Paths()
    for number in range(MAX_PATHS):
        add(paths, number, now=1, proven=True)
    paths.select(1)
    assert paths.admit(path(99), 2) is None
    assert paths.admit(path(99), 2 + SILENCE) is not None
    assert len(paths.values()) == MAX_PATHS


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20), st.sampled_from(["admit", "verify", "prove", "nominate", "connect"])
        ),
        max_size=60,
    )
)
def test_the_selected_path_is_always_kept_and_never_unverified(
    steps: list[tuple[int, str]],
) -> None:
    paths = Paths()
    for now, (number, step) in enumerate(steps):
        state = paths.admit(path(number), now)
        if state is not None:
            state.active_at = now
            if step != "admit":
                paths.verify(state)
            if step == "prove":
                state.proven = True
            if step == "nominate":
                paths.nominate(state)
        paths.connected |= step == "connect"
        before = paths.selected
        moved = paths.select(now)
        assert len(paths.values()) <= MAX_PATHS
        if paths.selected is not None:
            assert paths.selected.verified
            assert paths.get(paths.selected.path) is paths.selected
        if moved and before is not None and paths.connected:
            assert paths.selected is not None
            assert paths.selected.proven
