"""Order out of disorder, at once where there is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio.sequencer import (
    HOLD,
    HOLD_SECONDS,
    MAX_GAP,
    Ordered,
    Sequencer,
)
from workers.transceiver.core.streams.interface import AudioReceived


def packet(number: int, ssrc: int = 7) -> AudioReceived:
    return AudioReceived(b"%d" % number, 111, number & 0xFFFF, 960 * number, False, ssrc)


def numbers(ready: list[Ordered]) -> list[int | None]:
    return [None if each.packet is None else int(each.packet.payload) for each in ready]


def test_what_comes_in_order_goes_on_at_once() -> None:
    it = Sequencer()
    for number in range(65_530, 65_545):
        assert numbers(it.handle(packet(number), 0.0)) == [number]
    assert it.next_timeout() is None


def test_what_has_gone_on_without_us_is_not_missing() -> None:
    it = Sequencer()
    it.handle(packet(65_530), 0.0)
    it.skip(10)
    assert numbers(it.handle(packet(65_541), 0.2)) == [65_541]
    assert it.handle(packet(65_543), 0.2) == []
    assert it.due is None, "something waits"
    assert numbers(it.handle(packet(65_542), 0.2)) == [65_542, 65_543]
    assert (it.lost, it.late) == (0, 0)


def test_an_overtaken_packet_is_waited_for() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    assert it.handle(packet(3), 0.02) == []
    assert numbers(it.handle(packet(2), 0.03)) == [2, 3]
    assert (it.lost, it.late) == (0, 0)


def test_a_missing_packet_is_lost_after_a_while_and_then_late() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    it.handle(packet(3), 1.0)
    assert it.next_timeout() == 1.0 + HOLD_SECONDS
    assert it.handle_timeout(1.0) == []
    assert numbers(it.handle_timeout(1.0 + HOLD_SECONDS)) == [None, 3]
    assert it.handle(packet(2), 1.1) == []
    assert (it.lost, it.late) == (1, 1)


def test_or_as_soon_as_enough_have_come_behind_it() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    for number in range(3, 3 + HOLD):
        assert it.handle(packet(number), 0.0) == []
    ready = numbers(it.handle(packet(3 + HOLD), 0.0))
    assert ready == [None, *range(3, 4 + HOLD)]


def test_a_repetition_is_counted() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    assert it.handle(packet(1), 0.0) == []
    assert it.late == 1


def test_another_source_begins_anew_and_nothing_held_is_forgotten() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    it.handle(packet(3), 0.0)
    assert numbers(it.handle(packet(900, ssrc=8), 0.0)) == [None, 3, 900]


def test_a_jump_is_no_loss() -> None:
    it = Sequencer()
    it.handle(packet(1), 0.0)
    assert numbers(it.handle(packet(3 + MAX_GAP), 0.0)) == [3 + MAX_GAP]
    assert it.lost == 0


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 2)), max_size=200))
def test_any_traffic_is_bounded_and_in_order(sent: list[tuple[int, int]]) -> None:
    it = Sequencer()
    now, out = 0.0, 0
    for number, ssrc in sent:
        now += 0.005
        ready = it.handle(packet(number, ssrc), now) + it.handle_timeout(now)
        out += sum(each.packet is not None for each in ready)
        assert len(ready) <= MAX_GAP + 2 * HOLD + 2
    if (due := it.next_timeout()) is not None:
        out += sum(each.packet is not None for each in it.handle_timeout(due))
    assert out + it.late <= len(sent)


@given(st.permutations(range(4)), st.integers(0, 65_535))
def test_small_disorder_costs_nothing(order: list[int], start: int) -> None:
    it = Sequencer()
    out = numbers(it.handle(packet(start), 0.0))
    for step in order:
        out += numbers(it.handle(packet(start + 1 + step), 0.001))
    assert out == list(range(start, start + 5))
    assert it.late == 0


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40))
def test_taking_the_next_one_is_no_other_way(steps: list[tuple[int, bool]]) -> None:
    one, other, now, next_ = Sequencer(), Sequencer(), 0.0, 65_530
    for ahead, late in steps:
        now += 0.02
        number = next_ + ahead - 4
        next_ += 1
        taken = other.take_next(packet(number))
        ready = one.handle(packet(number), now)
        assert ready == ([Ordered(packet(number))] if taken else other.handle(packet(number), now))
        if late:
            now += HOLD_SECONDS
            assert one.handle_timeout(now) == other.handle_timeout(now)
        assert one.next_timeout() == other.next_timeout()
        assert (one.lost, one.late) == (other.lost, other.late)
