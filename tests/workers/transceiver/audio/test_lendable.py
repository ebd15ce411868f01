"""What is lent is played as if it were not: frames, timestamps, and the truth about what was heard."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.backend.messages import Dtmf, Error, Flush, Pause, Resume
from ipc.messages.sessions import CloseReason
from tests.support.talk_stage import BEGIN, TalkStage, out
from tests.support.talk_stage import ends as ends
from tests.support.talk_stage import stage as stage
from workers.transceiver.audio.playout import FRAME, LIVE_MOST, LIVE_SPARE, REST
from workers.transceiver.core.interface import SessionClosed
from workers.transceiver.media.loans import WINDOW

STEP = 960


def speech(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def test_what_comes_at_once_leaves_frame_by_frame(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(90)), out(b"", last=True))
    stage.run(2.0)
    assert stage.payloads == speech(90)
    assert stage.plane.counters.played > 80, "nearly all by the plane"
    times = [at for at, _ in stage.heard]
    assert all(abs(at - BEGIN - n * FRAME) < 0.0025 for n, at in enumerate(times))
    stamps = [packet.timestamp for _, packet in stage.heard]
    assert [b - a for a, b in pairwise(stamps)] == [STEP] * 89
    assert [packet.marker for _, packet in stage.heard] == [True] + [False] * 89
    numbers = [packet.sequence for _, packet in stage.heard]
    assert numbers == list(range(100, 190))
    assert stage.playback[0] == ("started", "a", 0)
    assert stage.playback[-1] == ("drained", "a", 1800)
    assert [each[0] for each in stage.playback].count("progress") == 3


def test_one_item_follows_the_other_without_a_gap(stage: TalkStage) -> None:
    frames = speech(60)
    stage.say(*(out(f, "a") for f in frames[:25]), out(b"", "a", last=True))
    stage.say(*(out(f, "b") for f in frames[25:]), out(b"", "b", last=True))
    stage.run(1.5)
    assert stage.payloads == frames
    assert all(abs(at - BEGIN - n * FRAME) < 0.0025 for n, (at, _) in enumerate(stage.heard))
    told = [each for each in stage.playback if each[0] in ("started", "drained")]
    assert told == [
        ("started", "a", 0),
        ("drained", "a", 500),
        ("started", "b", 0),
        ("drained", "b", 700),
    ]


def test_a_frame_that_comes_a_little_late_costs_what_follows_nothing(stage: TalkStage) -> None:
    frames = speech(40)
    for number, frame in enumerate(frames):
        stage.say(out(frame))
        stage.run({20: FRAME + 0.004, 21: FRAME - 0.004}.get(number, FRAME))
    assert stage.payloads == frames
    assert [packet.marker for _, packet in stage.heard] == [True] + [False] * 39
    assert stage.heard[-1][0] < BEGIN + 39 * FRAME + 0.0025


@pytest.mark.parametrize("at", [0.0, 0.001, 0.0199, 0.02, 0.1, 0.1234, 0.31])
def test_a_flush_is_exact(stage: TalkStage, at: float) -> None:
    stage.say(*(out(frame) for frame in speech(90)))
    stage.run(at)
    stage.say(Flush("rtc_0_s"))
    heard = len(stage.heard)
    assert ("cleared", "a", heard * 20) in stage.playback
    stage.run(0.3)
    assert len(stage.heard) == heard


def test_a_pause_keeps_what_waits(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(50)), out(b"", last=True))
    stage.run(0.2)
    stage.say(Pause("rtc_0_s"))
    heard = len(stage.heard)
    stage.run(0.5)
    assert len(stage.heard) == heard
    stage.say(Resume("rtc_0_s"))
    stage.run(1.0)
    assert stage.payloads == speech(50)
    packet = stage.heard[heard][1]
    assert packet.marker
    assert packet.timestamp - stage.heard[heard - 1][1].timestamp >= 0.5 / FRAME * STEP
    assert stage.playback[-1] == ("drained", "a", 1000)


def test_what_comes_in_real_time_is_played_in_real_time(stage: TalkStage) -> None:
    for frame in speech(100):
        stage.say(out(frame))
        stage.run(FRAME)
    stage.run(0.1)
    assert stage.payloads == speech(100)
    assert stage.plane.counters.played > 90
    assert [packet.marker for _, packet in stage.heard].count(True) == 1


def test_where_nothing_came_there_is_a_gap_of_the_right_length(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(20)))
    stage.run(20 * FRAME + 0.05)
    assert len(stage.heard) == 20
    stage.say(*(out(frame) for frame in speech(20, 20)))
    stage.run(20 * FRAME + 0.05)
    (before, one), (after, two) = stage.heard[19:21]
    assert two.marker
    slots = (two.timestamp - one.timestamp) / STEP
    assert slots == 4
    assert after - before == pytest.approx(slots * FRAME, abs=0.0025)
    assert stage.payloads == speech(40)


def test_after_a_rest_the_first_word_does_not_wait(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(5)), out(b"", last=True))
    stage.run(REST + 0.2037)
    stage.say(out(b"again"))
    stage.run(0.002)
    at, packet = stage.heard[-1]
    assert (packet.payload, packet.marker) == (b"again", True)
    passed = (packet.timestamp - stage.heard[0][1].timestamp) / STEP * FRAME
    assert passed == pytest.approx(at - stage.heard[0][0], abs=FRAME)


def test_keys_take_the_place_of_what_is_lent(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(40)), out(b"", last=True))
    stage.run(0.2)
    stage.say(Dtmf("rtc_0_s", "5", 100))
    stage.run(1.5)
    assert stage.payloads == speech(40)
    kinds = [packet.payload_type for _, packet in stage.heard]
    first, last = kinds.index(110), len(kinds) - kinds[::-1].index(110)
    assert set(kinds[first:last]) == {110}
    stamps = [packet.timestamp for _, packet in stage.heard]
    assert stamps == sorted(stamps)
    assert stage.playback[-1] == ("drained", "a", 800)


def test_what_does_not_fit_is_refused(stage: TalkStage) -> None:
    for _ in range(3):
        stage.say(*(out(frame) for frame in speech(60)))
        stage.run(0.02)
    assert any(isinstance(item, Error) for item in stage.told)
    stage.run(3.0)
    assert 100 <= len(stage.heard) <= 100 + 3 + WINDOW


def test_live_audio_does_not_stay_behind(stage: TalkStage) -> None:
    number = 0
    for tick in range(300):
        count = 0 if 50 <= tick < 80 else 31 if tick == 80 else 1
        stage.say(*(out(b"%d" % n, live=True) for n in range(number, number + count)))
        number += count
        stage.run(FRAME)
        if tick == 80:
            assert int(stage.payloads[-1]) >= number - LIVE_MOST - 2
    assert int(stage.payloads[-1]) >= number - LIVE_SPARE - 2


def test_a_thread_that_was_late_catches_up_a_little_and_forgives_the_rest(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(31)), out(b"", last=True))
    stage.run(0.1)
    stage.forget()
    stage.now += 0.3  # nobody had a turn
    stage.turn()
    assert len(stage.heard) <= 7
    stage.run(1.0)
    assert stage.payloads == speech(31)[-len(stage.heard) :]
    stamps = [packet.timestamp for _, packet in stage.heard]
    assert stamps == sorted(set(stamps))
    assert stage.playback[-1] == ("drained", "a", 620)


def test_the_end_of_a_session_ends_what_was_lent(stage: TalkStage) -> None:
    stage.say(*(out(frame) for frame in speech(50)))
    stage.run(0.1)
    heard = len(stage.heard)
    stage.session(SessionClosed(CloseReason.HANGUP))
    stage.run(0.3)
    assert len(stage.heard) == heard


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("ab"), st.integers(1, 60)),
        st.tuples(st.just("last"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.sampled_from(["flush", "pause", "resume", "key"]), st.just(""), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 20)),
    ),
    max_size=15,
)


@settings(max_examples=25)
@given(STEPS)
def test_whatever_is_asked_each_frame_is_played_once_and_told(
    steps: list[tuple[str, str, int]],
) -> None:
    with ExitStack() as ends:
        lent, plain = TalkStage(ends), TalkStage(ends, lend=False)
        number = 0
        for what, item, value in [*steps, ("resume", "", 0), ("last", "a", 0), ("wait", "", 125)]:
            for stage in (lent, plain):
                # Each at another time within the frame: what falls together with one comes before or after.
                stage.run(0.001)
                match what:
                    case "add":
                        stage.say(*(out(b"%d" % n, item) for n in range(number, number + value)))
                    case "last":
                        stage.say(out(b"", item, last=True))
                    case "flush":
                        stage.say(Flush("rtc_0_s"))
                    case "pause":
                        stage.say(Pause("rtc_0_s"))
                    case "resume":
                        stage.say(Resume("rtc_0_s"))
                    case "key":
                        stage.say(Dtmf("rtc_0_s", "1", 60))
                    case _:
                        stage.run(value * FRAME)
            number += value if what == "add" else 0
        assert lent.payloads == plain.payloads
        finished = ("drained", "cleared")
        assert [each for each in lent.playback if each[0] in finished] == [
            each for each in plain.playback if each[0] in finished
        ]
        for stage in (lent, plain):
            stamps = [packet.timestamp for _, packet in stage.heard]
            assert stamps == sorted(stamps)
            played = sum(each[2] for each in stage.playback if each[0] in finished)
            assert played == 20 * len(stage.payloads)
