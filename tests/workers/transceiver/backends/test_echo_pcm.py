"""The echo that decodes, between real sessions in virtual time."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from config.ids import Endpoint, FlowKey, SessionId
from ipc.messages.sessions import CloseReason, Problem
from tests.support.sessions import identity
from tests.support.sound import frames, loudness, strength, tone
from tests.support.transceiver import Caller, Rig
from workers.transceiver.audio import libopus
from workers.transceiver.audio.opus import OpusDecoder, OpusEncoder
from workers.transceiver.backends.echo_pcm import EchoPcm
from workers.transceiver.core.interface import (
    AudioParameters,
    AudioReceived,
    CloseSession,
    Codec,
    Create,
    Created,
    FromSession,
    IceCredentials,
    LossReported,
    Refused,
    SendAudio,
    StateChanged,
)
from workers.transceiver.core.offer import OPUS, PCMU, build_offer
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage
from workers.transceiver.core.states import SessionState
from workers.wire.demux import KINDS, Kind
from workers.wire.telephone_event import parse_telephone_event

RATE = 16_000


class Conversation:
    """A caller who speaks a tone, 20 ms a packet, and keeps what comes back."""

    def __init__(self) -> None:
        self.backend = EchoPcm(Random(1).randbytes)
        self.rig = Rig(backends={"echo-pcm": self.backend})
        self.caller: Caller = self.rig.call(Endpoint("198.51.100.9", 9), backend="echo-pcm")
        self.rig.run_until(lambda: self.caller.connected)
        self.encoder = OpusEncoder(RATE)
        self.timestamp = 1000

    def say(self, pcm: bytes) -> None:
        for frame in frames(pcm, RATE):
            payload = self.encoder.encode(frame)
            self.caller.do(SendAudio(payload, self.timestamp, OPUS.payload_type))
            self.timestamp += 960
            self.rig.run(0.02)

    def lose(self, share: float) -> None:
        """From now on the network loses that share of the caller's media."""
        random, deliver = Random(3), self.rig.to_transceiver

        def lossy(relay: Endpoint, key: FlowKey, datagram: bytes) -> None:
            if not (KINDS[datagram[0]] is Kind.RTP and random.random() < share):
                deliver(relay, key, datagram)

        self.rig.to_transceiver = lossy  # type: ignore[method-assign]

    @property
    def packets(self) -> list[AudioReceived]:
        return [o for o in self.caller.outputs if isinstance(o, AudioReceived)]

    def heard(self, last: int) -> bytes:
        decoder = OpusDecoder(RATE)
        return b"".join(decoder.decode(packet.payload) for packet in self.packets[-last:])


def test_a_tone_comes_back_at_the_pace_of_the_clock() -> None:
    call = Conversation()
    call.say(tone(RATE, 2))
    packets = call.packets
    assert len(packets) >= 95
    assert strength(call.heard(50)[2000:], RATE) > 0.95
    steps = {b.timestamp - a.timestamp for a, b in pairwise(packets)}
    assert steps == {960}
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    stats = call.backend.stats(call.caller.id)
    assert stats is not None
    assert (stats.lost, stats.late) == (0, 0)
    assert stats.delay <= 0.03


def test_one_packet_in_ten_lost_is_still_speech() -> None:
    call = Conversation()
    call.say(tone(RATE, 1))
    call.lose(0.1)
    call.say(tone(RATE, 4))
    stats = call.backend.stats(call.caller.id)
    assert stats is not None
    assert 10 <= stats.lost <= 32
    heard = call.heard(150)
    assert len(heard) == 150 * 640
    assert strength(heard[16_000:], RATE) > 0.6
    assert min(loudness(frame) for frame in frames(heard, RATE)[5:]) > 300


def test_keys_are_pressed_back() -> None:
    backend = EchoPcm(bytes)
    session = SessionId("rtc_0_x")
    keys = Codec("telephone-event", 126, 8_000)
    audio = AudioParameters("0", (PCMU, keys), sends=True, receives=True)
    backend.begin(Created(0, session, "", "echo-pcm", audio=audio), 5.0)
    backend.handle(FromSession(session, StateChanged(SessionState.CONNECTED)), 5.0)
    down = AudioReceived(b"\x07\x0a\x01\x40", 126, 1, 0, True, 9)
    backend.handle(FromSession(session, down), 5.01)
    up = AudioReceived(b"\x07\x8a\x03\x20", 126, 2, 0, False, 9)
    backend.handle(FromSession(session, up), 5.1)
    said: list[SendAudio] = []
    for _ in range(20):
        due = backend.next_timeout(session)
        assert due is not None
        said += [
            o.event for o in backend.handle_timeout(session, due) if isinstance(o.event, SendAudio)
        ]
    assert {packet.payload_type for packet in said} == {126}
    reports = [parse_telephone_event(packet.payload) for packet in said]
    assert {report.event for report in reports} == {7}
    assert (reports[-1].end, reports[-1].duration) == (True, 800)


def test_what_the_peer_misses_is_prepared_for() -> None:
    call = Conversation()
    one = call.backend._calls[call.caller.id]
    assert one.speaking._encoder._loss == 0  # type: ignore[attr-defined]
    call.backend.handle(FromSession(call.caller.id, LossReported(0.12)), call.rig.now)
    assert one.speaking._encoder._loss == 0.12  # type: ignore[attr-defined]


def test_a_session_of_data_alone_has_no_clock() -> None:
    backend = EchoPcm(bytes)
    session = SessionId("rtc_0_x")
    backend.begin(Created(0, session, "", "echo-pcm"), 5.0)
    assert backend.handle(FromSession(session, StateChanged(SessionState.CONNECTED)), 5.0) == []
    message = MessageReceived(3, b"hello", text=True)
    (said,) = backend.handle(FromSession(session, message), 5.0)
    assert said.event == SendMessage(3, b"hello", text=True)
    assert backend.next_timeout(session) is None
    assert backend.handle_timeout(session, 9.0) == []


def test_silence_is_not_said_back() -> None:
    call = Conversation()
    call.rig.run(1)
    assert call.packets == []
    call.say(tone(RATE, 0.5))
    call.rig.run(1)
    said = len(call.packets)
    assert 24 <= said <= 33
    call.rig.run(1)
    assert len(call.packets) == said


def test_without_libopus_it_refuses_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "SONAME", "hidden.so.0")
    libopus.load.cache_clear()
    try:
        rig = Rig(backends={"echo-pcm": EchoPcm(Random(1).randbytes)})
        local = IceCredentials("ufrag", "p" * 24)
        offer = build_offer(local, identity("tandem").fingerprint, origin=1)
        (refused,) = [o for o in rig.do(Create(7, offer, "echo-pcm")) if isinstance(o, Refused)]
        assert refused.problem is Problem.UNFIT_BACKEND
        assert "install libopus0" in refused.detail
        assert len(rig.sessions) == 0
        # Who needs no PCM is served.
        rig = Rig()
        assert rig.connect().connected
    finally:
        monkeypatch.undo()
        libopus.load.cache_clear()


def test_who_hangs_up_is_forgotten() -> None:
    call = Conversation()
    call.say(tone(RATE, 0.1))
    call.caller.do(CloseSession(CloseReason.HANGUP))
    call.rig.run(0.5)
    assert call.backend._calls == {}
    assert call.backend._audio == {}
    assert call.backend.stats(call.caller.id) is None


def test_a_session_that_never_connects_costs_no_codec() -> None:
    backend = EchoPcm(Random(1).randbytes)
    rig = Rig(backends={"echo-pcm": backend})
    offer = build_offer(IceCredentials("ufrag", "p" * 24), identity("tandem").fingerprint, origin=1)
    assert [o for o in rig.do(Create(7, offer, "echo-pcm")) if isinstance(o, Created)]
    assert backend._calls == {}


def test_after_a_hold_up_it_catches_up_a_little() -> None:
    call = Conversation()
    call.say(tone(RATE, 0.5))
    one = call.backend._calls[call.caller.id]
    due = one.due
    packets = one.step(due + 1.0)
    assert len(packets) <= 5
    assert one.due - due == pytest.approx(1.02, abs=0.021)


def test_what_a_hold_up_has_made_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Conversation()
    call.say(tone(RATE, 1))
    one = call.backend._calls[call.caller.id]
    with monkeypatch.context() as held_up:
        held_up.setattr(call.backend, "handle_timeout", lambda *_: [])
        call.say(tone(RATE, 0.5))
    call.say(tone(RATE, 0.1))
    after = one.hearing.stats
    assert after.delay <= after.target + 0.03
    assert 15 <= after.late <= 25
