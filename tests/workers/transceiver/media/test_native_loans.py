"""What the plane does on loan: packets become items, batches become frames, and strangers find no hole."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.backend.codec import BatchError, decode_from_backend, encode_batch
from ipc.backend.messages import (
    SILENCE,
    Accept,
    AudioIn,
    AudioOut,
    Credit,
    Dtmf,
    FromBackend,
    Hello,
    SessionStarted,
)
from tests.support.talk_stage import STREAM, A, B, S, TalkStage, out
from tests.support.talk_stage import ends as ends
from tests.support.talk_stage import stage as stage
from workers.transceiver.audio.sequencer import HOLD_SECONDS
from workers.transceiver.media.loans import MAX_NAME, EarTerms, Line, VoiceTerms


def terms(session: str = "s", item: str = "i") -> VoiceTerms:
    return VoiceTerms(session, item, False, True, 1000.0, 0, 0, 960, 111, False, 10)


# --- what callers say -----------------------------------------------------------------------------


def test_packets_become_items(stage: TalkStage) -> None:
    for number in range(50):
        stage.speak(number, b"%d" % number)
        stage.run(0.02)
    first = stage.chunks[0].at
    assert first <= 1
    assert stage.chunks == [AudioIn(S, first + n * 20, b"%d" % n) for n in range(50)]
    assert stage.plane.loans.done >= 48


@pytest.mark.parametrize("size", [1, 255, 256, 1400])
def test_items_say_what_they_should_whatever_the_size(stage: TalkStage, size: int) -> None:
    for number in range(0xFFF0, 0xFFF0 + 40):  # numbers wrap on the way
        stage.speak(number, bytes(size))
        stage.run(0.02)
    chunks = stage.chunks
    assert [chunk.at - chunks[0].at for chunk in chunks] == [20 * n for n in range(40)]
    assert {chunk.payload for chunk in chunks} == {bytes(size)}


def test_hours_later_the_place_is_still_right(stage: TalkStage) -> None:
    silences = [0, 1, 100, 180_000, 1, 2_000_000]  # frames that a client left out (DTX)
    for number in range(60):
        missed = sum(silences[: number // 10 + 1])
        stage.speak(number, timestamp=(number + missed) * 960 & 0xFFFFFFFF)
        stage.run(0.02)
    places = [chunk.at - stage.chunks[0].at for chunk in stage.chunks]
    assert places == [20 * (n + sum(silences[: n // 10 + 1])) for n in range(60)]
    assert stage.plane.loans.done > 50


def test_a_loss_a_key_and_another_source_are_ours(stage: TalkStage) -> None:
    heard = [0, 1, 2, 4, 5, 6]
    for number in heard:
        stage.speak(number, b"%d" % number)
        stage.run(0.02)
    stage.run(HOLD_SECONDS)
    begin = stage.chunks[0].at
    places = [(chunk.at - begin, chunk.payload, chunk.lost) for chunk in stage.chunks]
    assert places[:4] == [(0, b"0", 0), (20, b"1", 0), (40, b"2", 0), (60, b"", 20)]
    assert [payload for _, payload, _ in places if payload] == [b"%d" % n for n in heard]
    stage.speak(7, b"\x05\x8a\x03\x20", 110)
    stage.run(0.02)
    assert any(isinstance(item, Dtmf) for item in stage.told)
    stage.speak(8, b"on")
    stage.run(0.02)
    assert stage.chunks[-1].payload == b"on"


def test_without_credit_nothing_is_said_and_it_is_counted(stage: TalkStage) -> None:
    for number in range(20):
        stage.speak(number)
        stage.run(0.02)
    begin = stage.chunks[0].at
    stage.say(Credit(-10_000))
    stage.forget()
    for number in range(20, 40):
        stage.speak(number)
        stage.run(0.02)
    assert stage.chunks == []
    assert stage.remote.stats()[A].without_credit == 20
    stage.say(Credit(5))
    for number in range(40, 50):
        stage.speak(number)
        stage.run(0.02)
    assert [chunk.at - begin for chunk in stage.chunks] == [20 * n for n in range(40, 45)]


def test_who_comes_after_a_dead_one_has_the_call(stage: TalkStage) -> None:
    stage.say(Hello("b", instance="1"), Credit(100), at=B)
    for number in range(5):
        stage.speak(number)
        stage.say(out(b"a"))
        stage.run(0.02)
    stage.now += SILENCE
    stage.say(Hello("b", instance="1"), at=B)  # it is not silent
    stage.remote.handle_pool_timeout(stage.now)
    stage.turn()
    assert any(isinstance(item, SessionStarted) and item.resumed for item in stage.told)
    stage.forget()
    stage.speak(5)
    stage.run(0.02)
    assert stage.chunks == [], "nobody has it"
    assert stage.remote.stats()[B].before_accept == 0
    stage.say(Accept(S), at=B)
    assert stage.remote.stats()[B].before_accept == 1
    before = len(stage.heard)
    stage.say(out(b"late"))
    stage.run(0.1)
    assert len(stage.heard) == before, "who had it has no say"
    for number in range(6, 12):
        stage.speak(number)
        stage.say(out(b"b"), at=B)
        stage.run(0.02)
    assert len(stage.chunks) == 6
    assert stage.payloads[-1] == b"b"
    assert stage.remote.stats()[B].sessions == 1


# --- what callers hear ----------------------------------------------------------------------------


def test_only_who_has_the_session_is_heard(stage: TalkStage) -> None:
    loans = stage.plane.loans
    ours, theirs = loans.open_line(), loans.open_line()
    loan = loans.lend_voice(STREAM + 1, ours, terms("mine", ""))
    assert loan is not None
    batch = encode_batch([AudioOut("mine", b"x"), AudioOut("mine", b"y")])
    assert theirs.hear(batch, 1000.0) == (0, 2)
    assert ours.hear(batch, 1000.0) == (2, 2)
    assert loan.end().frames == [b"x", b"y"]
    assert ours.hear(batch, 1000.0) == (0, 2)


def test_the_first_that_is_not_simple_and_all_after_it_are_left(stage: TalkStage) -> None:
    loans = stage.plane.loans
    line = loans.open_line()
    loan = loans.lend_voice(STREAM + 1, line, terms())
    assert loan is not None
    batch: list[FromBackend] = [
        AudioOut("s", b"x", "i"),
        AudioOut("s", b"y", "other"),
        AudioOut("s", b"z", "i"),
    ]
    assert line.hear(encode_batch(batch), 1000.0) == (1, 3)
    assert line.hear(encode_batch([*batch, Credit(1)]), 1000.0) == (0, 0)
    assert line.hear(encode_batch([AudioOut("s", b"", "i", last=True)]), 1000.0) == (0, 0)
    assert line.hear(encode_batch([AudioOut("s", b"x", "i", live=True)]), 1000.0) == (0, 1)
    assert loan.state().waiting == 1


def test_what_cannot_be_lent_is_not(stage: TalkStage) -> None:
    loans = stage.plane.loans
    line = loans.open_line()
    assert loans.lend_voice(0, line, terms("s" * (MAX_NAME + 1))) is None
    assert loans.lend_voice(0, line, terms("s", "ü" * MAX_NAME)) is None
    assert loans.lend_voice(0, Line(), terms()) is None
    assert loans.lend_ear(0, Line(), EarTerms("s", 111, 1, 1, 1, 0, 48_000)) is None
    first = loans.lend_voice(0, line, terms())
    assert first is not None
    assert loans.lend_voice(1, line, terms()) is None, "that session speaks elsewhere"
    first.end()
    assert loans.lend_voice(1, line, terms()) is not None


def test_a_closed_stream_has_nothing_lent(stage: TalkStage) -> None:
    loans = stage.plane.loans
    line = loans.open_line()
    assert loans.lend_voice(0, line, terms()) is not None
    stage.plane.close(0)
    stage.plane.flush()
    stage.plane.turn(stage.now)
    stage.plane.take()
    assert loans.lend_voice(1, line, terms()) is not None


SAYINGS = st.lists(
    st.builds(
        AudioOut,
        st.sampled_from(["s", "t", "u" * 40]),
        st.binary(max_size=300),
        st.sampled_from(["", "i", "other"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(
    SAYINGS,
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=3),
    st.integers(0, 3),
)
def test_a_batch_that_is_none_is_never_heard(
    items: list[AudioOut], damage: list[tuple[int, int]], cut: int
) -> None:
    """Whatever bytes come: what is done of them is what they say, and there is nothing else in them."""
    batch = bytearray(encode_batch(items))
    for at, value in damage:
        batch[at % len(batch)] = value
    data = bytes(batch[: len(batch) - cut])
    with ExitStack() as ends:
        loans = TalkStage(ends).plane.loans
        line = loans.open_line()
        loan = loans.lend_voice(0, line, terms())
        assert loan is not None
        done, count = line.hear(data, 1000.0)
        assert done <= count
        try:
            said = decode_from_backend(data)
        except BatchError:
            assert (done, count) == (0, 0), "all of it, or nothing"
            return
        assert count in (0, len(said))
        simple = [
            e for e in said[:done] if isinstance(e, AudioOut) and (e.session, e.item) == ("s", "i")
        ]
        assert [each.payload for each in simple] == loan.end().frames
        assert len(simple) == done
