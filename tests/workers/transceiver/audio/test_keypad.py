"""Keys through a network that loses, repeats and reorders: each press once."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio.interface import Dtmf
from workers.transceiver.audio.keypad import MAX_WAITING, SILENCE, KeyPacket, KeysHeard, KeysPressed
from workers.wire.telephone_event import (
    DIGITS,
    TelephoneEvent,
    encode_telephone_event,
    parse_telephone_event,
)

CLOCK = 8_000
STEP = 160


def packet(digit: str, duration: int, *, end: bool = False) -> bytes:
    return encode_telephone_event(TelephoneEvent(DIGITS.index(digit), end, 10, duration))


def press(digits: str, start: int = 0, duration: float = 0.1) -> list[tuple[int, KeyPacket]]:
    """What leaves at each step, with the number of the step."""
    keys = KeysPressed(CLOCK, STEP)
    assert all(keys.press(digit, duration) for digit in digits)
    sent = []
    for n in range(len(digits) * 40):
        made = keys.step((start + n * STEP) & 0xFFFFFFFF)
        if made is not None:
            sent.append((n, made))
    assert not keys.busy
    return sent


def hear(packets: Sequence[tuple[float, KeyPacket]]) -> list[Dtmf]:
    keys = KeysHeard(CLOCK)
    heard: list[Dtmf] = []
    for n, one in packets:
        heard += keys.handle(one.payload, one.timestamp, 1, n * 0.02)
    return heard + keys.handle_timeout(1e6)


# --- pressing -------------------------------------------------------------------------------------


def test_a_press_as_the_standard_has_it() -> None:
    sent = press("5", start=1000)
    assert [n for n, _ in sent] == list(range(7))
    reports = [parse_telephone_event(one.payload) for _, one in sent]
    assert {one.timestamp for _, one in sent} == {1000}
    assert [one.marker for _, one in sent] == [True] + [False] * 6
    assert [r.duration for r in reports] == [160, 320, 480, 640, 800, 800, 800]
    assert [r.end for r in reports] == [False] * 4 + [True] * 3
    assert {r.event for r in reports} == {5}


def test_presses_follow_each_other_with_a_pause() -> None:
    sent = press("1#")
    beginnings = [n for n, one in sent if one.marker]
    assert beginnings[0] == 0
    assert (beginnings[1] - 5) * 0.02 >= 0.04
    assert [one.timestamp for _, one in sent if one.marker] == [n * STEP for n in beginnings]


def test_only_so_many_wait() -> None:
    keys = KeysPressed(CLOCK, STEP)
    assert [keys.press("7") for _ in range(MAX_WAITING + 1)] == [True] * MAX_WAITING + [False]


@pytest.mark.parametrize("digit", ["x", "", "12"])
def test_what_is_no_key_is_our_own_mistake(digit: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        KeysPressed(CLOCK, STEP).press(digit)


# --- hearing --------------------------------------------------------------------------------------


@given(
    st.text(alphabet=DIGITS, min_size=1, max_size=12),
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from([0.04, 0.1, 0.5, 2.0]),
)
def test_what_is_pressed_is_heard(digits: str, start: int, duration: float) -> None:
    keys = KeysPressed(CLOCK, STEP)
    heard = KeysHeard(CLOCK)
    presses: list[Dtmf] = []
    for digit in digits:
        keys.press(digit, duration)
    n = 0
    while keys.busy:
        made = keys.step((start + n * STEP) & 0xFFFFFFFF)
        if made is not None:
            presses += heard.handle(made.payload, made.timestamp, 1, n * 0.02)
        n += 1
    assert "".join(one.digit for one in presses) == digits
    assert all(one.duration == pytest.approx(duration, abs=0.001) for one in presses)


@given(st.integers(0, 1 << 30))
def test_loss_repetition_and_overtaking_make_no_press_of_it_two(seed: int) -> None:
    random = Random(seed)
    arriving: list[tuple[float, KeyPacket]] = [
        (n + random.choice([0, 0, 0, 1.5]), one)
        for n, one in press("1223")
        for _ in range(random.choice([0, 1, 1, 1, 1, 2]))
    ]
    arriving.sort(key=lambda pair: pair[0])
    present = {one.timestamp for _, one in arriving}
    heard = hear(arriving)
    assert len(heard) == len(present)
    assert all(one.duration <= 0.1 + 0.001 for one in heard)


def test_lost_ends_are_made_up_for_by_silence() -> None:
    keys = KeysHeard(CLOCK)
    assert keys.next_timeout() is None
    assert keys.handle(packet("9", 160), 0, 1, 0.0) == []
    assert keys.handle(packet("9", 320), 0, 1, 0.02) == []
    due = keys.next_timeout() or 0.0
    assert due == pytest.approx(0.02 + SILENCE)
    assert keys.handle_timeout(due - 0.01) == []
    assert keys.handle_timeout(due) == [Dtmf("9", 0.04)]
    assert keys.next_timeout() is None
    # The end, held up for longer than anybody waits, is no other press.
    assert keys.handle(packet("9", 400, end=True), 0, 1, 1.0) == []


def test_lost_ends_are_made_up_for_by_the_next_press() -> None:
    keys = KeysHeard(CLOCK)
    keys.handle(packet("9", 160), 0, 1, 0.0)
    assert keys.handle(packet("9", 160), 800, 1, 0.1) == [Dtmf("9", 0.02)]
    assert keys.handle(packet("9", 160, end=True), 800, 1, 0.12) == [Dtmf("9", 0.02)]


def test_a_long_press_comes_in_segments() -> None:
    keys = KeysHeard(CLOCK)
    heard = []
    now = 0.0
    for segment in range(3):
        start = segment * 0xFFFF
        for duration in range(400, 0xFFFF, 400):
            heard += keys.handle(packet("0", duration), start, 1, now)
            now += 0.05
        heard += keys.handle(packet("0", 0xFFFF, end=segment == 2), start, 1, now)
    assert heard == [Dtmf("0", 3 * 0xFFFF / CLOCK)]


def test_a_key_that_is_held_for_ever_is_reported_once_a_while() -> None:
    keys = KeysHeard(CLOCK)
    heard = []
    for n in range(100):
        heard += keys.handle(packet("0", 0xFFFF), n * 0xFFFF & 0xFFFFFFFF, 1, n * 0.1)
    assert 1 <= len(heard) <= 100 * 0xFFFF / CLOCK / 60 + 1


def test_another_source_begins_anew() -> None:
    keys = KeysHeard(CLOCK)
    keys.handle(packet("1", 160), 5000, 1, 0.0)
    assert keys.handle(packet("2", 160, end=True), 100, 2, 0.02) == [
        Dtmf("1", 0.02),
        Dtmf("2", 0.02),
    ]


def test_what_is_no_key_is_not_heard() -> None:
    keys = KeysHeard(CLOCK)
    assert keys.handle(encode_telephone_event(TelephoneEvent(16, True, 0, 800)), 0, 1, 0.0) == []
    assert keys.handle(b"\x01", 0, 1, 0.0) == []
    assert keys.malformed == 1


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=6), st.integers(0, 0xFFFFFFFF), st.integers(1, 2), st.floats(0, 1)
        ),
        max_size=60,
    )
)
def test_anything_gives_at_most_a_press_a_packet(
    packets: list[tuple[bytes, int, int, float]],
) -> None:
    keys = KeysHeard(48_000)
    now = 0.0
    heard: list[Dtmf] = []
    for payload, timestamp, ssrc, pause in packets:
        now += pause
        heard += keys.handle(payload, timestamp, ssrc, now)
    heard += keys.handle_timeout(now + 1)
    assert len(heard) <= len(packets)
    assert all(one.digit in DIGITS and 0 <= one.duration <= 62 for one in heard)
