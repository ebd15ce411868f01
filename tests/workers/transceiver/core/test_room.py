from __future__ import annotations

from itertools import count

import pytest

from workers.transceiver.core.room import MEASURE_EVERY, Room

PLENTY = 1000


class Talk:
    """Sessions that take so much of the thread each, measured again and again."""

    def __init__(self, max_busy: float = 0.8, cost: float = 0.01) -> None:
        self.room = Room(PLENTY, max_busy)
        self._cost = cost
        self._times = (number * MEASURE_EVERY for number in count())
        self._measure(0.0, 0)

    def go_on(self, sessions: int, times: int = 3) -> Room:
        for _ in range(times):
            self._measure(sessions * self._cost, sessions)
        return self.room

    def hang(self, sessions: int) -> Room:
        """The whole process, that long."""
        self._measure(1.0, sessions)
        return self.room

    def _measure(self, share: float, sessions: int) -> None:
        self.room.measure(share * MEASURE_EVERY, sessions, next(self._times))


def test_places_are_a_number() -> None:
    assert Room(3, 0.8).has_place(2)
    assert not Room(3, 0.8).has_place(3)


def test_who_was_let_in_counts_as_those_who_talk() -> None:
    room = Talk().go_on(30)
    assert room.busy == pytest.approx(0.3)
    assert room.has_time(78)
    assert not room.has_time(80)


def test_what_is_slight_says_nothing() -> None:
    assert Talk().go_on(20).has_time(PLENTY)


def test_nothing_is_left() -> None:
    room = Talk().go_on(90)
    assert room.busy == pytest.approx(0.9)
    assert not room.has_time(0)
    assert Talk(max_busy=1.0, cost=0.1).go_on(90).has_time(PLENTY)


def test_one_moment_is_none() -> None:
    talk = Talk()
    talk.go_on(5)
    assert talk.hang(5).has_time(60)
    assert talk.go_on(5, 1).has_time(60)


def test_it_is_over_when_they_have_hung_up() -> None:
    talk = Talk()
    assert not talk.go_on(90).has_time(90)
    assert talk.go_on(0, 2).has_time(PLENTY)


def test_more_of_them_is_no_higher_price() -> None:
    talk = Talk()
    talk.go_on(30)
    # Twenty come within one measure, and talk for half of it.
    talk.room.measure(0.4 * MEASURE_EVERY, 50, 4 * MEASURE_EVERY)
    assert talk.room.has_time(78)
