"""The jitter buffer in all weathers, and against whatever a peer may send."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.weather import FRAME, Weather
from workers.transceiver.audio.interface import Idle, Lost, Play
from workers.transceiver.audio.jitter import MAX_BYTES, MAX_PACKETS, JitterBuffer

ONE_FRAME = 0.02
SLACK = 0.006
"""Seconds: the buckets of the estimate, and the stretching's own steps."""


def clean(_: float) -> float:
    return 0.0


def spread(seconds: float, seed: int = 1) -> Weather:
    """Packets are held up at random, evenly up to so long; they overtake each other."""
    random = Random(seed)
    return Weather(lambda _: random.uniform(0.0, seconds))


# --- weather --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0.0, 0.003, 0.011, 0.0199])
def test_a_clean_network_costs_one_frame(phase: float) -> None:
    weather = Weather(clean, phase=phase)
    weather.run(3)
    buffer = weather.buffer
    assert buffer.delay <= ONE_FRAME + SLACK
    assert buffer.target <= SLACK
    assert (buffer.lost, buffer.late, buffer.duplicate, buffer.concealed) == (0, 0, 0, 0)
    # The delay shrank by squeezing alone: everything was played, in order.
    sent = [int.from_bytes(payload, "big") for _, payload in weather.played]
    assert sent == list(range(len(sent)))
    assert len(sent) > 140


def test_the_delay_grows_within_a_second_and_shrinks_again() -> None:
    random = Random(5)
    bad = False
    weather = Weather(lambda _: random.expovariate(1 / 0.03) if bad else 0.0)
    weather.run(5)
    calm = weather.buffer.delay
    assert calm <= ONE_FRAME + SLACK
    bad = True
    weather.run(1)
    grown = weather.buffer.delay
    assert grown > 0.06
    since = weather.now
    weather.run(20)
    assert weather.concealed_since(since) < 0.06
    bad = False
    weather.run(13)
    assert weather.buffer.delay <= calm + SLACK
    assert weather.buffer.jitter < 0.001


def test_a_consumer_that_was_held_up_is_in_time_again_at_once() -> None:
    weather = Weather(clean)
    weather.run(3)
    buffer, calm = weather.buffer, weather.buffer.delay
    weather.hold_up(0.5)
    since, left_out = weather.now, buffer.late
    weather.run(0.1)
    assert buffer.delay <= calm + SLACK
    assert left_out == pytest.approx(25, abs=2)
    assert (weather.concealed_since(since), buffer.lost) == (0, 0)


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.06, 0.12])
def test_jitter_costs_little_more_delay_than_it_must(seconds: float) -> None:
    weather = spread(seconds)
    weather.run(5)
    since = weather.now
    weather.run(30)
    buffer = weather.buffer
    assert 0.9 * seconds <= buffer.target <= seconds * 1.25 + SLACK
    assert buffer.delay <= buffer.target + ONE_FRAME + SLACK
    assert weather.concealed_since(since) < 0.04
    assert buffer.jitter == pytest.approx(seconds / 3, rel=0.5)


@pytest.mark.parametrize("ppm", [-100, 100])
def test_the_drift_of_the_senders_clock_adds_nothing(ppm: int) -> None:
    weather = Weather(clean, drift=ppm * 1e-6)
    highest = 0.0
    for _ in range(120):
        weather.run(10)
        highest = max(highest, weather.buffer.delay)
    # 1200 seconds at 100 ppm are 120 ms, six frames.
    assert highest <= 2 * ONE_FRAME + SLACK
    assert len(weather.buffer) <= 2
    assert weather.concealed_since(0) < 0.001
    assert weather.buffer.lost == 0


def test_loss_is_marked_with_what_may_repair_it() -> None:
    sent = 0

    def one_in_ten(_: float) -> float | None:
        nonlocal sent
        sent += 1
        return None if sent % 10 == 0 else 0.0

    weather = Weather(one_in_ten)
    weather.run(20)
    buffer = weather.buffer
    assert buffer.lost == pytest.approx(100, abs=2)
    lost = [item for _, item in weather.items if isinstance(item, Lost)]
    # Most are told from the packet behind, some by there being nothing at all.
    repairable = [item for item in lost if item.following is not None]
    assert sum(item.duration for item in lost) == buffer.concealed
    assert buffer.concealed == pytest.approx(100 * FRAME, rel=0.1)
    assert all(int.from_bytes(item.following or b"", "big") % 10 == 0 for item in repairable)
    assert buffer.delay <= 2 * ONE_FRAME + SLACK


def test_an_outage_is_silence_and_its_backlog_is_not_kept() -> None:
    began = 0.0

    def tunnel(now: float) -> float:
        return began + 3 - now if 0 < began <= now < began + 3 else 0.0

    weather = Weather(tunnel)
    weather.run(5)
    began = weather.now
    weather.run(3.1)
    assert any(isinstance(item, Idle) for t, item in weather.items if t > began)
    weather.run(2)
    # Of three seconds that came at once one is played, squeezed.
    assert weather.buffer.late > 90
    weather.run(15)
    assert weather.buffer.delay <= ONE_FRAME + SLACK


@pytest.mark.parametrize("every", [0.3, 0.7, 0.9, 1.0, 1.3])
def test_packets_that_come_in_bursts_are_heard(every: float) -> None:
    """A machine or a radio that sleeps in between: never so late that nothing is played at all."""
    weather = Weather(lambda now: every - now % every)
    weather.run(30)
    since = weather.now - 15
    played = [t for t, _ in weather.played if t >= since]
    pauses = [after - before for before, after in pairwise([since, *played, weather.now])]
    assert max(pauses) <= every + 0.25
    assert len(played) > 150
    if every < 0.8:
        assert len(played) > 740
        assert weather.buffer.delay <= every + 2 * ONE_FRAME


def test_a_pause_is_silence_and_not_loss() -> None:
    """DTX: the timestamp goes on, the sequence does not."""
    weather = Weather(clean)
    weather.run(3)
    before = weather.buffer.concealed
    for pause in (0.1, 0.4, 2.0, 30.0):
        weather.run(pause, talking=False)
        weather.run(1)
    buffer = weather.buffer
    assert (buffer.lost, buffer.late) == (0, 0)
    # What cannot be known: that the peer has stopped. It takes 120 ms to find out.
    assert buffer.concealed - before <= 4 * 7 * FRAME
    assert buffer.delay <= 2 * ONE_FRAME


def test_dtx_says_that_it_pauses() -> None:
    weather = Weather(clean)
    weather.run(1)
    sequence = weather.first_sequence + 1
    timestamp = weather.first_timestamp + weather._sent * FRAME
    buffer = weather.buffer
    buffer.put(
        b"\x08", 111, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 1, FRAME, weather.now + 0.04
    )
    concealed = buffer.concealed
    weather.run(0.5, talking=False)
    assert buffer.concealed == concealed
    assert isinstance(weather.items[-1][1], Idle)


# --- single packets -------------------------------------------------------------------------------


def put(
    buffer: JitterBuffer, n: int, now: float, *, ssrc: int = 1, payload: bytes = b"x123"
) -> None:
    buffer.put(payload, 0, n & 0xFFFF, n * FRAME & 0xFFFFFFFF, ssrc, FRAME, now)


def playing(start: int = 0, packets: int = 5) -> tuple[JitterBuffer, float]:
    """A buffer that has played so many, and the time."""
    buffer = JitterBuffer(48_000)
    for n in range(packets):
        put(buffer, start + n, n * 0.02)
        buffer.take(n * 0.02 + 0.025)
    return buffer, packets * 0.02


def test_reordered_packets_are_played_in_order() -> None:
    buffer, now = playing(65_533)
    put(buffer, 65_539, now, payload=b"second")
    put(buffer, 65_538, now, payload=b"first")
    first, second = buffer.take(now + 0.025), buffer.take(now + 0.045)
    assert isinstance(first, Play)
    assert isinstance(second, Play)
    assert (first.payload, second.payload) == (b"first", b"second")
    assert buffer.lost == 0


def test_what_comes_twice_counts_once() -> None:
    buffer, now = playing()
    put(buffer, 5, now)
    put(buffer, 5, now)
    put(buffer, 2, now)
    assert buffer.duplicate == 2
    assert len(buffer) == 1
    assert buffer.late == 0


def test_what_is_old_and_still_waits_comes_but_once() -> None:
    buffer = JitterBuffer(48_000)
    for sequence, payload in ((300, b"new"), (0, b"one"), (0, b"other")):
        buffer.put(payload, 0, sequence, 0, 1, FRAME, 0.0)
    assert buffer.duplicate == 1
    assert buffer._bytes == len(b"new" + b"one")


def test_what_comes_after_its_time_is_late() -> None:
    buffer, now = playing()
    put(buffer, 6, now)
    assert isinstance(buffer.take(now + 0.005), Lost)
    assert buffer.lost == 1
    put(buffer, 5, now + 0.006)
    assert buffer.late == 1
    assert isinstance(buffer.take(now + 0.025), Play)


def test_what_comes_while_time_stands_still_is_played() -> None:
    buffer, now = playing()
    assert buffer.take(now + 0.005) == Lost(FRAME, None)
    put(buffer, 5, now + 0.01)
    played = buffer.take(now + 0.025)
    assert isinstance(played, Play)
    assert (buffer.lost, buffer.late) == (0, 0)
    assert buffer.concealed == FRAME


def test_an_event_is_not_missing() -> None:
    buffer, now = playing()
    buffer.skip(5, 1)
    buffer.skip(6, 1)
    put(buffer, 7, now + 0.04)
    assert isinstance(buffer.take(now + 0.065), Play)
    assert buffer.lost == 0


def test_another_source_begins_anew() -> None:
    buffer, now = playing()
    put(buffer, 5, now, payload=b"old")
    put(buffer, 40_000, now, ssrc=2, payload=b"new")
    played = buffer.take(now + 0.025)
    assert isinstance(played, Play)
    assert played.payload == b"new"
    assert (buffer.lost, buffer.late) == (0, 0)


@pytest.mark.parametrize("jump", [-(1 << 31), -960_000, -100_000, 100_000, 960_000, 1 << 30])
def test_a_jump_of_the_timestamp_is_survived(jump: int) -> None:
    buffer, now = playing(packets=20)
    for n in range(20, 60):
        moment = (n * FRAME + jump) & 0xFFFFFFFF
        buffer.put(b"jumped", 0, n, moment, 1, FRAME, now)
        item = buffer.take(now + 0.005)
        now += 0.02
    assert isinstance(item, Play)
    assert buffer.delay <= 0.06
    assert buffer.estimate.jumps == 1


@pytest.mark.parametrize("back", [0.3, 0.7, 0.99, 1.5])
def test_a_clock_set_back_a_little_is_heard_on(back: float) -> None:
    """It looks like a network that has become slower for good."""
    weather = Weather(clean)
    weather.run(5)
    weather.first_timestamp -= int(back * 48_000)
    since = weather.now
    weather.run(5)
    played = sum(t >= since + 1.5 for t, _ in weather.played)
    assert played > 160
    assert weather.concealed_since(since + 1.5) < 0.05
    weather.run(10)
    assert weather.buffer.delay <= 2 * ONE_FRAME + SLACK


def test_a_jump_of_the_sequence_is_survived() -> None:
    buffer, now = playing()
    for n in range(5, 10):
        buffer.put(b"jumped", 0, n + 30_000, n * FRAME, 1, FRAME, now)
        item = buffer.take(now + 0.025)
        now += 0.02
    assert isinstance(item, Play)
    assert buffer.lost == 0


def test_nothing_is_idle() -> None:
    assert JitterBuffer(48_000).take(0.0) == Idle()


def test_a_flood_is_bounded() -> None:
    buffer = JitterBuffer(48_000)
    for n in range(1000):
        put(buffer, n, 0.001 * n)
    assert len(buffer) == MAX_PACKETS
    assert buffer.overflowed == 1000 - MAX_PACKETS
    for n in range(1000, 1500):
        put(buffer, n, 0.001 * n, payload=bytes(1400))
    assert buffer._bytes <= MAX_BYTES


PACKETS = st.tuples(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(1, 2),
    st.sampled_from([80, 160, 960, 2880, 5760]),
    st.binary(max_size=20),
    st.floats(0, 3),
    st.booleans(),
)


@given(st.lists(PACKETS, max_size=60))
@settings(max_examples=300)
def test_whatever_comes_nothing_breaks_and_nothing_grows(
    packets: list[tuple[int, int, int, int, bytes, float, bool]],
) -> None:
    buffer = JitterBuffer(48_000)
    now = 0.0
    played = 0
    for sequence, timestamp, ssrc, duration, payload, pause, event in packets:
        if event:
            buffer.skip(sequence, ssrc)
        else:
            buffer.put(payload, 0, sequence, timestamp, ssrc, duration, now)
        now += pause
        item = buffer.take(now)
        played += isinstance(item, Play)
        if not isinstance(item, Idle):
            assert item.duration > 0
        assert buffer._bytes == sum(len(p.payload) for p in buffer._packets.values())
        assert 0 <= buffer.target <= 0.8
        assert len(buffer.estimate._samples) <= 1000
    assert buffer.received == len(packets)
    assert played + buffer.late + buffer.duplicate <= buffer.received
    for _ in range(3000):
        now += 0.02
        buffer.take(now)
    # In time all is played or given up.
    assert len(buffer) == 0 or buffer.take(now) == Idle()


@given(
    st.permutations(range(8)),
    st.integers(0, 0xFFFF),
    st.sets(st.integers(0, 7), max_size=3),
)
def test_any_order_and_any_wrap_within_the_delay_plays_all_in_order(
    order: list[int], start: int, twice: set[int]
) -> None:
    buffer, now = playing(start)
    for n in order:
        for _ in range(2 if n in twice else 1):
            put(buffer, start + 5 + n, now + 0.001, payload=b"n%02d" % n)
    heard = []
    for step in range(40):
        item = buffer.take(now + 0.005 + step * 0.02)
        if isinstance(item, Play):
            heard.append(item.payload)
    assert heard == [b"n%02d" % n for n in range(8)]
    assert buffer.duplicate == len(twice)
    assert (buffer.lost, buffer.late) == (0, 0)
