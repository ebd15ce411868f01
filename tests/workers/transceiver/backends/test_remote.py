"""Sessions and back ends joined, without a socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from config.ids import Endpoint, SessionId, Transport
from ipc.backend.codec import encode_batch
from ipc.backend.messages import (
    MAX_NAME,
    MAX_REASON,
    SILENCE,
    Accept,
    AudioFormat,
    AudioIn,
    AudioOut,
    ChannelOpened,
    ClientHints,
    Credit,
    DataIn,
    DataOut,
    Dtmf,
    Encoding,
    Error,
    ErrorCode,
    FromBackend,
    HangUp,
    Hello,
    LimitWarning,
    OpenChannel,
    Reject,
    SessionEnded,
    SessionStarted,
    Stats,
    ToBackend,
)
from ipc.backend.vad import Vad
from ipc.messages.sessions import CloseReason
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.base import Away
from workers.transceiver.backends.remote import Remote
from workers.transceiver.backends.talk import MAX_WAITING, MAX_WAITING_BYTES
from workers.transceiver.core.interface import (
    CloseSession,
    Created,
    ForSession,
    FromSession,
    LimitNear,
    MediaFared,
    Path,
    PathSelected,
    SessionClosed,
    StateChanged,
    Unsent,
)
from workers.transceiver.core.sctp import interface as sctp
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    SendAudio,
)
from workers.wire.types import DropReason

A, B = "ipc:///a", "ipc:///b"
S = SessionId("rtc_0_s")
AUDIO = AudioParameters("0", (Codec("opus", 111, 48_000, 2),), sends=True, receives=True)
PATH = Path(Transport.UDP, Endpoint("203.0.113.7", 51_000), Endpoint("198.51.100.1", 3478))
FRAME = AudioReceived(b"\xfc\xff\xfe", 111, 1, 960, False, 7)


class Rig:
    """A remote back end; what end points were told, and what sessions were asked to do."""

    def __init__(self, *live: str, audio: AudioParameters | None = AUDIO) -> None:
        self.remote = Remote(
            "agent",
            Hello("transceiver-0", instance="t"),
            (A, B),
            buffer=1.0,
            entropy=bytes,
            make_voice=self._make_voice,
        )
        self.voices: list[tuple[int, Vad | None]] = []
        self.now = 0.0
        for endpoint in live:
            self.say(endpoint, Hello(endpoint, instance="1"), Credit(100))
        self.audio = audio

    def _make_voice(self, rate: int, vad: Vad | None) -> Voice:
        self.voices.append((rate, vad))
        return Voice(rate, vad)

    def say(self, endpoint: str, *items: FromBackend) -> list[ForSession]:
        return self.remote.receive(endpoint, encode_batch(items), self.now)

    def told(self, endpoint: str) -> list[ToBackend]:
        return self.remote.outbox.pop(endpoint, [])

    def begin(self) -> None:
        claims = {"metadata": {"name": "Ada"}}
        client = ClientHints("", "Mozilla/5.0", "https://app.example")
        created = Created(
            0, S, "answer", "agent", audio=self.audio, data=True, claims=claims, client=client
        )
        self.remote.begin(created, self.now)

    def session(self, output: Any) -> list[ForSession]:
        return self.remote.handle(FromSession(S, output), self.now)

    def connect(self) -> None:
        self.begin()
        self.session(PathSelected(PATH))
        assert self.session(StateChanged(SessionState.CONNECTED)) == []

    def talk(self, accept: Accept | None = None) -> None:
        self.connect()
        self.told(A)
        assert self.say(A, accept or Accept(S)) == []


def closes(wanted: Sequence[ForSession]) -> list[CloseReason]:
    return [each.event.reason for each in wanted if isinstance(each.event, CloseSession)]


def test_without_anybody_there_no_session_begins() -> None:
    with pytest.raises(Away, match="agent"):
        Rig().begin()


def test_a_back_end_learns_all_that_is_known() -> None:
    rig = Rig(A)
    rig.connect()
    client = ClientHints("203.0.113.7:51000", "Mozilla/5.0", "https://app.example")
    assert rig.told(A) == [
        SessionStarted(
            S, "agent", {"metadata": {"name": "Ada"}}, client, "opus", data=True, buffer=1000
        )
    ]


def test_audio_goes_both_ways_once_accepted() -> None:
    rig = Rig(A)
    rig.connect()
    rig.told(A)
    assert rig.session(FRAME) == []
    assert rig.told(A) == []
    rig.say(A, Accept(S))
    assert rig.remote.stats()[A].before_accept == 1
    assert rig.remote.touched == {S}
    rig.session(FRAME)
    assert rig.told(A) == [AudioIn(S, 0, FRAME.payload)]
    assert rig.say(A, AudioOut(S, b"answer", "a", last=True)) == []
    due = rig.remote.next_timeout(S)
    assert due is not None
    (said,) = rig.remote.handle_timeout(S, due)
    assert said.session == S
    assert isinstance(said.event, SendAudio)
    assert said.event.payload == b"answer"
    assert len(rig.told(A)) == 2, "it started and drained"


def test_data_goes_both_ways() -> None:
    rig = Rig(A)
    rig.talk()
    rig.session(sctp.ChannelOpened(0, "chat", "", ordered=True, by_peer=True))
    rig.session(sctp.MessageReceived(0, b"hello", text=True))
    assert DataIn(S, 0, b"hello", text=True) in rig.told(A)
    (sent,) = rig.say(A, DataOut(S, 0, b"there"))
    assert sent == ForSession(S, sctp.SendMessage(0, b"there", text=False))
    (opened,) = rig.say(A, OpenChannel(S, "events"))
    assert opened == ForSession(S, sctp.OpenChannel("events", ""))


@pytest.mark.parametrize(
    ("channel", "reason", "code"),
    [
        (0, DropReason.OVERSIZE, ErrorCode.TOO_LARGE),
        (0, DropReason.QUEUE_FULL, ErrorCode.DATA_FLOOD),
        (0, DropReason.UNKNOWN_CHANNEL, ErrorCode.UNKNOWN_CHANNEL),
        (None, DropReason.OVERSIZE, ErrorCode.TOO_LARGE),
        (None, DropReason.QUEUE_FULL, ErrorCode.UNEXPECTED),
        (None, DropReason.UNEXPECTED_STATE, ErrorCode.UNEXPECTED),
    ],
)
def test_what_was_not_sent_is_told_and_counted(
    channel: int | None, reason: DropReason, code: ErrorCode
) -> None:
    rig = Rig(A)
    rig.talk()
    assert rig.session(Unsent(channel, reason)) == []
    (error,) = rig.told(A)
    assert isinstance(error, Error)
    assert (error.code, error.session) == (code, S)
    assert rig.remote.stats()[A].mistakes == {code.value: 1}


def test_a_message_for_a_channel_that_is_not_open_goes_nowhere() -> None:
    rig = Rig(A)
    rig.talk()
    rig.session(sctp.ChannelOpened(0, "chat", "", ordered=True, by_peer=True))
    rig.session(sctp.ChannelClosed(0))
    rig.told(A)
    assert rig.say(A, DataOut(S, 0, b"there"), DataOut(S, -1, b"there")) == []
    told = rig.told(A)
    assert [each.code for each in told if isinstance(each, Error)] == [
        ErrorCode.UNKNOWN_CHANNEL
    ] * 2


def test_what_is_sent_before_somebody_accepts_waits_for_him() -> None:
    rig = Rig(A)
    rig.connect()
    rig.session(sctp.ChannelOpened(0, "chat", "", ordered=True, by_peer=True))
    rig.session(sctp.ChannelOpened(2, "gone", "", ordered=True, by_peer=True))
    rig.session(sctp.MessageReceived(0, b"hello", text=True))
    rig.session(sctp.MessageReceived(2, b"nobody's", text=True))
    rig.session(sctp.ChannelClosed(2))
    rig.told(A)
    rig.say(A, Accept(S))
    assert rig.told(A) == [ChannelOpened(S, 0, "chat"), DataIn(S, 0, b"hello", text=True)]


def test_what_waits_is_bounded() -> None:
    rig = Rig(A)
    rig.connect()
    rig.session(sctp.ChannelOpened(0, "chat", "", ordered=True, by_peer=True))
    for _ in range(10):
        rig.session(sctp.MessageReceived(0, bytes(60_000), text=False))
    for _ in range(1000):
        rig.session(sctp.MessageReceived(0, b"", text=False))
    rig.told(A)
    rig.say(A, Accept(S))
    waited = [item for item in rig.told(A) if isinstance(item, DataIn)]
    assert len(waited) == MAX_WAITING
    assert sum(len(item.payload) for item in waited) <= MAX_WAITING_BYTES
    assert rig.remote.dropped[DropReason.QUEUE_FULL] == 1010 - MAX_WAITING


def test_a_successor_learns_which_channels_are_open() -> None:
    rig = Rig(A, B)
    rig.talk()
    rig.session(sctp.ChannelOpened(0, "chat", "", ordered=True, by_peer=True))
    rig.session(sctp.ChannelOpened(2, "gone", "", ordered=True, by_peer=True))
    rig.session(sctp.ChannelClosed(2))
    rig.now = 1.0
    rig.say(B, Credit(1))
    rig.now = SILENCE
    rig.remote.handle_pool_timeout(rig.now)
    rig.session(sctp.MessageReceived(0, b"anybody?", text=True))
    rig.told(B)
    rig.say(B, Accept(S))
    assert rig.told(B) == [ChannelOpened(S, 0, "chat"), DataIn(S, 0, b"anybody?", text=True)]


def test_hang_up_ends_the_session_and_its_end_is_told() -> None:
    rig = Rig(A)
    rig.talk()
    (close,) = rig.say(A, HangUp(S, "goodbye"))
    assert close == ForSession(S, CloseSession(CloseReason.BACKEND_ENDED, "goodbye"))
    rig.session(SessionClosed(CloseReason.BACKEND_ENDED, "goodbye"))
    assert rig.told(A) == [SessionEnded(S, "backend_ended", "goodbye")]
    assert rig.remote.next_timeout(S) is None
    assert rig.remote.handle_timeout(S, 1.0) == []


def test_a_rejected_session_ends() -> None:
    rig = Rig(A)
    rig.connect()
    assert closes(rig.say(A, Reject(S, "closed"))) == [CloseReason.BACKEND_ENDED]


def test_of_long_reasons_and_names_the_beginning_goes_further() -> None:
    """They are in statistics and news, of which others have theirs, too."""
    long = "\U0001f5e3" * 200_000
    rig = Rig(A)
    rig.connect()
    (close,) = rig.say(A, Reject(S, long))
    assert isinstance(close.event, CloseSession)
    assert 100 < len(close.event.detail) <= MAX_REASON
    rig = Rig(A)
    rig.talk()
    (close,) = rig.say(A, HangUp(S, long))
    assert close == ForSession(S, CloseSession(CloseReason.BACKEND_ENDED, long[:MAX_REASON]))
    rig.say(A, Hello(long, instance="1"))
    assert rig.remote.stats()[A].name == long[:MAX_NAME]


def test_an_item_is_named_in_short() -> None:
    rig = Rig(A)
    rig.talk()
    rig.say(A, AudioOut(S, b"answer", "x" * (MAX_NAME + 1)))
    (error,) = rig.told(A)
    assert isinstance(error, Error)
    assert error.code is ErrorCode.TOO_LARGE
    assert rig.remote.next_timeout(S) is None
    rig.say(A, AudioOut(S, b"answer", "x" * MAX_NAME))
    assert rig.told(A) == []
    assert rig.remote.next_timeout(S) is not None


def test_another_back_end_takes_over() -> None:
    rig = Rig(A, B)
    rig.talk()
    rig.told(B)
    rig.now = 1.0
    rig.say(B, Credit(1))
    rig.now = SILENCE
    rig.remote.handle_pool_timeout(rig.now)
    (started,) = [item for item in rig.told(B) if isinstance(item, SessionStarted)]
    assert started.resumed
    rig.say(B, Accept(S))
    rig.session(FRAME)
    assert [item for item in rig.told(B) if isinstance(item, AudioIn)]


def test_a_format_that_would_need_transcoding_is_refused() -> None:
    rig = Rig(A)
    rig.connect()
    rig.told(A)
    wanted = rig.say(A, Accept(S, AudioFormat(Encoding.PCMU, 8_000)))
    assert closes(wanted) == [CloseReason.BACKEND_ENDED]
    (error,) = rig.told(A)
    assert isinstance(error, Error)
    assert error.code is ErrorCode.UNSUPPORTED_FORMAT


def test_voice_activity_needs_pcm() -> None:
    rig = Rig(A)
    rig.connect()
    assert closes(rig.say(A, Accept(S, speech=True))) == [CloseReason.BACKEND_ENDED]
    rig = Rig(A)
    rig.talk(Accept(S, AudioFormat(Encoding.PCM, 16_000), speech=True, barge_in=True))
    assert rig.remote.next_timeout(S) is not None


def test_what_counts_as_speech_is_said_for_each_session() -> None:
    pcm = AudioFormat(Encoding.PCM, 16_000)
    for accept, vad in [
        (Accept(S, pcm, speech=True, vad=Vad(0.9, silence=200)), Vad(0.9, silence=200)),
        (Accept(S, pcm, barge_in=True), None),
    ]:
        rig = Rig(A)
        rig.talk(accept)
        assert rig.voices == [(16_000, vad)]


def test_out_of_bounds_it_is_refused_and_told() -> None:
    rig = Rig(A)
    rig.connect()
    rig.told(A)
    wrong = Accept(S, AudioFormat(Encoding.PCM, 16_000), speech=True, vad=Vad(2, 0, 49))
    assert closes(rig.say(A, wrong)) == [CloseReason.BACKEND_ENDED]
    error, ended = rig.told(A)
    why = "threshold is to be from 0 to 1; silence is to be from 50 to 10000"
    assert error == Error(ErrorCode.UNSUPPORTED_VAD, why, S)
    assert ended == SessionEnded(S, "withdrawn", "vad")
    assert rig.voices == []


def test_a_session_of_data_alone_has_no_audio() -> None:
    rig = Rig(A, audio=None)
    rig.talk()
    assert rig.remote.next_timeout(S) is None
    rig.say(A, AudioOut(S, b"x"))
    rig.say(A, Dtmf(S, "5"))
    assert [item.code for item in rig.told(A) if isinstance(item, Error)] == [
        ErrorCode.UNEXPECTED,
        ErrorCode.UNEXPECTED,
    ]


def test_sessions_of_others_are_of_no_interest() -> None:
    rig = Rig(A)
    assert rig.session(FRAME) == []
    assert rig.session(SessionClosed(CloseReason.HANGUP)) == []


def test_how_the_media_fares_and_what_will_end_it_is_told() -> None:
    rig = Rig(A)
    rig.talk()
    rig.session(MediaFared(0.0415, 0.003, 2, 1))
    rig.session(LimitNear(CloseReason.MAX_DURATION, 30.0))
    assert rig.told(A) == [
        Stats(S, 41.5, 3.0, 2, 1),
        LimitWarning(S, "max_duration", 30.0),
    ]


def test_the_usual_frame_goes_the_short_way_there_and_back() -> None:
    rig = Rig(A)
    rig.talk()
    rig.say(A, AudioOut(S, b"0", "a"))
    rig.now = due = rig.remote.next_timeout(S) or 0.0
    assert rig.remote.play(S, due) is None, "its beginning is to be told, too"
    rig.remote.handle_timeout(S, due)
    rig.remote.touched.clear()
    rig.remote.hear(S, FRAME, due)
    rig.told(A)
    again = AudioReceived(b"again", 111, 2, 1920, False, 7)
    assert rig.remote.hear(S, again, due) is None
    assert rig.told(A) == [AudioIn(S, 20, b"again")]
    assert rig.say(A, AudioOut(S, b"1", "a")) == []
    assert rig.remote.touched == set(), "no time-out has changed"
    played = rig.remote.play(S, due + 0.02)
    assert played is not None
    (frame,), then = played
    assert frame.payload == b"1"
    assert then == rig.remote.next_timeout(S) == due + 0.04


def test_while_a_key_is_pressed_nothing_goes_the_short_way() -> None:
    keys = Codec("telephone-event", 110, 48_000)
    audio = AudioParameters("0", (*AUDIO.codecs, keys), sends=True, receives=True)
    rig = Rig(A, audio=audio)
    rig.talk()
    rig.say(A, AudioOut(S, b"0", "a"), AudioOut(S, b"1", "a"))
    rig.remote.handle_timeout(S, 0.0)
    rig.say(A, Dtmf(S, "5"))
    assert rig.remote.play(S, 0.02) is None
    sent = [each.event for each in rig.remote.handle_timeout(S, 0.02)]
    assert {each.payload_type for each in sent if isinstance(each, SendAudio)} == {110}


def test_nobody_plays_what_is_not_there() -> None:
    rig = Rig(A)
    assert rig.remote.play(S, 0.0) is None
    assert rig.remote.hear(S, FRAME, 0.0) is None
