"""The back end's side of the protocol, without a socket."""

from __future__ import annotations

from ipc.backend.codec import encode_batch
from ipc.backend.desk import CREDIT, GONE, GRANT, MAX_PEERS, Desk, DeskOutput, Offered, Send, Told
from ipc.backend.messages import (
    HEARTBEAT,
    SILENCE,
    Accept,
    AudioIn,
    Credit,
    Error,
    ErrorCode,
    Heartbeat,
    Hello,
    SessionEnded,
    SessionStarted,
    ToBackend,
)

OURS = Hello("agent", instance="b1")
THEIRS = Hello("transceiver-0", instance="t1")


def said(desk: Desk, *items: ToBackend, peer: bytes = b"t", now: float = 0.0) -> list[DeskOutput]:
    return desk.handle(peer, encode_batch(items), now)


def test_hello_is_answered_with_hello_and_credit() -> None:
    assert said(Desk(OURS), THEIRS) == [Send(b"t", (OURS, Credit(CREDIT)))]


def test_another_version_is_told_so_and_left_alone() -> None:
    desk = Desk(OURS)
    (output,) = said(desk, Hello("old", version=99))
    assert isinstance(output, Send)
    (error,) = output.items
    assert isinstance(error, Error)
    assert error.code is ErrorCode.VERSION
    assert said(desk, SessionStarted("s", "agent")) == []
    assert desk.counters.strangers == 2


def test_a_session_comes_talks_and_ends() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    started = SessionStarted("s", "agent")
    assert said(desk, started) == [Offered(started)]
    assert desk.say(Accept("s"), "s", 0.0) == [Send(b"t", (Accept("s"),))]
    audio = AudioIn("s", 0, b"x")
    ended = SessionEnded("s", "hangup")
    assert said(desk, audio, ended) == [Told(audio), Told(ended)]
    assert len(desk) == 0
    assert desk.say(Accept("s"), "s", 0.0) == []
    assert desk.counters.unsent == 1


def test_another_transceiver_cannot_speak_for_a_session() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    said(desk, SessionStarted("s", "agent"))
    said(desk, Hello("other", instance="t2"), peer=b"u")
    assert said(desk, SessionEnded("s", "hangup"), peer=b"u") == []
    assert desk.counters.unknown == 1
    (twice,) = said(desk, SessionStarted("s", "agent"), peer=b"u")
    assert isinstance(twice, Send)
    assert twice.peer == b"u"
    assert len(desk) == 1


def test_silence_ends_the_sessions_of_a_transceiver() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    said(desk, SessionStarted("s", "agent"))
    due = desk.next_timeout()
    assert due == HEARTBEAT
    assert desk.handle_timeout(due) == [Send(b"t", (Heartbeat(),))]
    said(desk, Heartbeat(), now=1.0)
    assert desk.handle_timeout(1.0 + SILENCE - 0.01) == [Send(b"t", (Heartbeat(),))]
    assert desk.handle_timeout(1.0 + SILENCE) == [Told(SessionEnded("s", GONE))]
    assert desk.next_timeout() is None
    assert said(desk, AudioIn("s", 0)) == []


def test_a_second_hello_ends_what_was_before_it() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    said(desk, SessionStarted("s", "agent"))
    assert said(desk, Hello("transceiver-0", instance="t9")) == [
        Told(SessionEnded("s", GONE)),
        Send(b"t", (OURS, Credit(CREDIT))),
    ]


def test_after_a_break_a_transceiver_is_another_peer_and_offers_its_sessions_anew() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    started = SessionStarted("s", "agent")
    said(desk, started)
    assert said(desk, THEIRS, peer=b"u") == [
        Told(SessionEnded("s", GONE)),
        Send(b"u", (OURS, Credit(CREDIT))),
    ]
    assert said(desk, started, peer=b"u") == [Offered(started)]


def test_credit_for_audio_is_given_back() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    said(desk, SessionStarted("s", "agent"))
    outputs = said(desk, *[AudioIn("s", 20 * n) for n in range(GRANT)])
    assert outputs[-1] == Send(b"t", (Credit(GRANT),))
    assert all(isinstance(output, Told) for output in outputs[:-1])


def test_garbage_is_answered_only_to_those_we_know() -> None:
    desk = Desk(OURS)
    assert desk.handle(b"x", b"\xc1", 0.0) == []
    said(desk, THEIRS)
    (output,) = desk.handle(b"t", b"\xc1", 0.0)
    assert isinstance(output, Send)
    assert desk.counters.malformed == 2


def test_peers_are_bounded() -> None:
    desk = Desk(OURS)
    for number in range(MAX_PEERS):
        assert said(desk, Hello("t", instance=f"t{number}"), peer=number.to_bytes(2, "big"))
    assert said(desk, Hello("t", instance="t"), peer=b"one more") == []


def test_a_released_session_is_nobodys() -> None:
    desk = Desk(OURS)
    said(desk, THEIRS)
    said(desk, SessionStarted("s", "agent"))
    desk.release("s")
    assert said(desk, AudioIn("s", 0)) == []
    assert desk.counters.unknown == 1
