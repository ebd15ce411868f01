"""What is handed over, what was heard, and what is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.realtime.core.interface import Became, Played, Say
from workers.realtime.core.voice import (
    LEAD,
    MAX_RESPONSES,
    MAX_UTTERANCES,
    MAX_WAITING,
    PER_MS,
    PIECE,
    Closed,
    PartKey,
    Truncation,
    Voice,
)

A, B = PartKey("r1", "a", 0), PartKey("r1", "b", 0)
BUFFER = 60_000


def sound(milliseconds: int) -> bytes:
    return bytes(milliseconds * PER_MS)


def handed(voice: Voice) -> int:
    return sum(len(say.pcm) for say in voice.hand_over()) // PER_MS


def test_an_answer_is_handed_over_in_pieces_and_ended() -> None:
    voice = Voice(BUFFER)
    voice.add(A, sound(500))
    assert [len(say.pcm) for say in voice.hand_over()] == [PIECE, PIECE, PIECE // 2]
    voice.finish_part(A)
    assert list(voice.hand_over()) == [Say("utterance-1", b"", True)]
    assert not list(voice.hand_over())


def test_no_more_is_handed_over_than_the_lead() -> None:
    voice = Voice(BUFFER)
    voice.add(A, sound(20_000))
    assert handed(voice) == LEAD
    voice.played(Played("utterance-1", Became.PROGRESS, 200))
    assert handed(voice) == 200
    small = Voice(1_000)
    small.add(A, sound(20_000))
    assert handed(small) == 1_000


def test_half_a_sample_waits_for_its_other_half() -> None:
    voice = Voice(BUFFER)
    voice.add(A, b"\1\2\3")
    voice.add(A, b"\4")
    assert b"".join(say.pcm for say in voice.hand_over()) == b"\1\2\3\4"


def test_a_response_begins_once_and_is_over_when_all_of_it_was_played() -> None:
    voice = Voice(BUFFER)
    for part in (A, B):
        voice.add(part, sound(100))
        voice.finish_part(part)
    names = {say.name for say in voice.hand_over()}
    assert names == {"utterance-1", "utterance-2"}
    assert voice.played(Played("utterance-1", Became.STARTED, 0)) == ("r1", None, [])
    assert voice.played(Played("utterance-1", Became.DRAINED, 100)) == ("", None, [])
    assert voice.played(Played("utterance-2", Became.STARTED, 0)) == ("", None, [])
    assert voice.finish_response("r1") == []
    over = [Closed("r1", interrupted=False)]
    assert voice.played(Played("utterance-2", Became.DRAINED, 100)) == ("", None, over)


def test_one_that_was_played_before_it_is_done_is_over_when_it_is_done() -> None:
    voice = Voice(BUFFER)
    voice.add(A, sound(100))
    voice.finish_part(A)
    list(voice.hand_over())
    voice.played(Played("utterance-1", Became.STARTED, 0))
    assert voice.played(Played("utterance-1", Became.DRAINED, 100)) == ("", None, [])
    assert voice.finish_response("r1") == [Closed("r1", interrupted=False)]


def test_an_interruption_says_what_was_heard_and_forgets_the_rest() -> None:
    voice = Voice(BUFFER)
    voice.add(A, sound(10_000))
    voice.finish_part(A)
    voice.add(B, sound(1_000))
    list(voice.hand_over())
    voice.played(Played("utterance-1", Became.STARTED, 0))
    assert voice.interrupt() == (True, [Truncation("b", 0, 0)], [])
    assert not list(voice.hand_over())
    assert voice.interrupt() == (False, [], [])  # once is enough
    over = [Closed("r1", interrupted=True)]
    cleared = Played("utterance-1", Became.CLEARED, 640)
    assert voice.played(cleared) == ("", Truncation("a", 0, 640), over)
    assert voice.played(cleared) == ("", None, [])


def test_what_comes_for_an_interrupted_response_is_not_played() -> None:
    voice = Voice(BUFFER)
    voice.begin("r1")
    assert voice.interrupt() == (False, [], [])
    voice.add(A, sound(100))
    assert not list(voice.hand_over())
    assert voice.late == 100 * PER_MS
    voice.add(PartKey("r2", "c", 0), sound(100))
    assert handed(voice) == 100


def test_never_more_was_heard_than_there_was() -> None:
    """The last frame is filled with silence: the server would refuse what is beyond its audio."""
    voice = Voice(BUFFER)
    voice.add(A, sound(50))
    list(voice.hand_over())
    voice.interrupt()
    _, truncation, _ = voice.played(Played("utterance-1", Became.CLEARED, 60))
    assert truncation == Truncation("a", 0, 50)


def test_one_that_ended_just_before_the_interruption_was_heard_to_its_end() -> None:
    voice = Voice(BUFFER)
    voice.add(A, sound(100))
    voice.finish_part(A)
    list(voice.hand_over())
    voice.played(Played("utterance-1", Became.STARTED, 0))
    assert voice.interrupt()[0]
    drained = Played("utterance-1", Became.DRAINED, 100)
    assert voice.played(drained) == ("", None, [Closed("r1", interrupted=True)])


def test_all_is_bounded() -> None:
    voice = Voice(BUFFER)
    voice.add(A, bytes(MAX_WAITING))
    voice.add(A, b"\0\0")
    assert voice.dropped == 2
    many = Voice(BUFFER)
    for number in range(MAX_UTTERANCES + 1):
        many.add(PartKey("r", str(number), 0), b"\0\0")
    assert many.dropped == 2
    for number in range(MAX_RESPONSES):
        many.begin(f"other-{number}")
    assert not list(many.hand_over())  # the oldest gave way, with what it had


def test_many_small_pieces_wait_as_one() -> None:
    """Objects are counted in nobody's bytes: five minutes in single samples must not fill the memory."""
    voice = Voice(BUFFER)
    for _ in range(1000):
        voice.add(A, b"\0\0")
    assert [len(say.pcm) for say in voice.hand_over()] == [2000]


def test_nobodys_news_mean_nothing() -> None:
    voice = Voice(BUFFER)
    voice.finish_part(A)
    assert voice.finish_response("r1") == []
    assert voice.played(Played("x", Became.DRAINED, 1)) == ("", None, [])


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 700)),
    st.tuples(st.just("done"), st.integers(0, 3)),
    st.tuples(st.just("interrupt")),
    st.tuples(st.just("play"), st.sampled_from(Became), st.integers(0, 7), st.integers(0, 9000)),
)


@given(st.lists(STEPS, max_size=60))
def test_what_is_known_never_contradicts_itself(steps: list[tuple[object, ...]]) -> None:
    voice = Voice(2_000)
    names: dict[str, bool] = {}
    for step in steps:
        match step:
            case ("add", int(n), int(size)):
                voice.add(PartKey(f"r{n % 2}", f"i{n}", 0), sound(size))
            case ("done", int(n)):
                voice.finish_response(f"r{n % 2}")
            case ("play", Became() as became, int(n), int(ms)):
                voice.played(Played(f"utterance-{n}", became, ms))
            case _:
                voice.interrupt()
        for say in voice.hand_over():
            assert not names.get(say.name), "nothing after the last piece"
            assert len(say.pcm) <= PIECE
            names[say.name] = say.last
    voice.interrupt()
    assert voice.waiting == 0


@pytest.mark.parametrize("buffer", [0, 100, 600])
def test_a_small_buffer_still_goes_on(buffer: int) -> None:
    voice = Voice(buffer)
    voice.add(A, sound(3_000))
    played = 0
    while (more := handed(voice)) and played < 3_000:
        played += more
        voice.played(Played("utterance-1", Became.PROGRESS, played))
    assert played == 3_000
