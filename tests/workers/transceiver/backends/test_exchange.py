"""Sessions and back ends together: who hears what, and what a broken back end costs."""

from __future__ import annotations

from config.ids import Endpoint, SessionId
from ipc.messages.sessions import CloseReason, Problem
from tests.support.sessions import identity
from tests.support.transceiver import Rig
from workers.transceiver.backends.base import Away, Backend, Unfit
from workers.transceiver.backends.echo import Echo
from workers.transceiver.core.interface import (
    AudioParameters,
    AudioReceived,
    CloseSession,
    Crashed,
    Create,
    Created,
    ForSession,
    FromSession,
    IceCredentials,
    Refused,
    SendAudio,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.offer import PCMU, build_offer
from workers.transceiver.core.states import SessionState


class Listener(Backend):
    """Keeps what it hears, and hangs up at a word."""

    def __init__(self) -> None:
        self.events: list[FromSession] = []

    def handle(self, event: FromSession, now: float) -> list[ForSession]:
        self.events.append(event)
        match event.output:
            case AudioReceived(payload=b"goodbye"):
                return [ForSession(event.session, CloseSession(CloseReason.BACKEND_ENDED))]
            case AudioReceived(payload=b"break"):
                raise LookupError("a bug in a back end")
            case _:
                return []


def test_a_back_end_hears_its_own_sessions_to_the_end_and_no_other() -> None:
    listener = Listener()
    rig = Rig(backends={"echo": Echo(), "listener": listener})
    echoed = rig.connect()
    heard = rig.call(Endpoint("198.51.100.9", 9), backend="listener")
    rig.run_until(lambda: heard.connected)
    echoed.speak(b"echo")
    heard.speak(b"hello")
    rig.run(0.1)
    heard.speak(b"goodbye")
    rig.run(0.1)
    assert {event.session for event in listener.events} == {heard.id}
    said = [e.output.payload for e in listener.events if isinstance(e.output, AudioReceived)]
    assert said == [b"hello", b"goodbye"]
    assert StateChanged(SessionState.CONNECTED) in [event.output for event in listener.events]
    closed = listener.events[-1].output
    assert isinstance(closed, SessionClosed)
    assert closed.reason is CloseReason.BACKEND_ENDED
    assert closed.fared is not None
    assert closed.fared.media.packets_in == len(said)
    assert heard.ended is CloseReason.PEER_CLOSED
    assert echoed.heard == [b"echo"]


def test_a_broken_back_end_costs_the_session_that_met_it() -> None:
    listener = Listener()
    rig = Rig(backends={"listener": listener})
    one = rig.call(Endpoint("198.51.100.1", 1), backend="listener")
    two = rig.call(Endpoint("198.51.100.2", 2), backend="listener")
    rig.run_until(lambda: one.connected and two.connected)
    one.speak(b"break")
    two.speak(b"fine")
    rig.run(0.1)
    (crashed,) = rig.of(Crashed)
    assert crashed.session == one.id
    assert isinstance(crashed.error, LookupError)
    assert rig.sessions.counters.closed == {CloseReason.INTERNAL_ERROR: 1}
    assert len(rig.sessions) == 1
    assert two.session.state is SessionState.CONNECTED
    assert len(rig.exchange._serving) == 1


class Clock(Backend):
    """Says its name every 20 ms from the beginning on, or fails at it; takes only who speaks Opus."""

    def __init__(self) -> None:
        self.began: dict[SessionId, AudioParameters | None] = {}
        self.due: dict[SessionId, float] = {}
        self.breaks_at = float("inf")
        self.away = False

    def begin(self, created: Created, now: float) -> None:
        session, audio = created.session, created.audio
        self.began[session] = audio
        if self.away:
            raise Away("nobody answers")
        if audio is None or audio.codecs[0].name != "opus":
            raise Unfit("only Opus is spoken here")
        self.due[session] = now

    def handle(self, event: FromSession, now: float) -> list[ForSession]:
        if isinstance(event.output, SessionClosed):
            del self.due[event.session]
        return []

    def next_timeout(self, session: SessionId) -> float | None:
        return self.due.get(session)

    def handle_timeout(self, session: SessionId, now: float) -> list[ForSession]:
        if now >= self.breaks_at:
            raise LookupError("a bug in a back end")
        if now < self.due[session]:
            return []
        self.due[session] += 0.02
        return [ForSession(session, SendAudio(b"tick", int(now * 48_000), 111))]


def test_a_back_end_is_woken_for_each_session() -> None:
    clock = Clock()
    rig = Rig(backends={"clock": clock})
    caller = rig.call(Endpoint("198.51.100.9", 9), backend="clock")
    rig.run_until(lambda: caller.connected)
    before = len(caller.heard)
    rig.run(1.0)
    assert 49 <= len(caller.heard) - before <= 51
    assert clock.began[caller.id] == rig.sessions._roster.entries[caller.id].parameters.audio
    caller.do(CloseSession(CloseReason.HANGUP))
    rig.run(0.1)
    assert clock.due == {}
    assert len(rig.exchange._timers) == 0


def test_a_bug_when_woken_costs_that_session() -> None:
    clock = Clock()
    rig = Rig(backends={"clock": clock, "echo": Echo()})
    broken = rig.call(Endpoint("198.51.100.9", 9), backend="clock")
    rig.run_until(lambda: broken.connected)
    clock.breaks_at = rig.now
    rig.run(1.0)
    (crashed,) = rig.of(Crashed)
    assert crashed.session == broken.id
    assert len(rig.sessions) == 0


def test_a_session_that_a_back_end_cannot_serve_is_refused_and_gone() -> None:
    clock = Clock()
    rig = Rig(backends={"clock": clock})
    local = IceCredentials("ufrag", "p" * 24)
    offer = build_offer(local, identity("tandem").fingerprint, origin=1, codecs=[PCMU])
    (refused,) = [o for o in rig.do(Create(7, offer, "clock")) if isinstance(o, Refused)]
    assert refused == Refused(7, Problem.UNFIT_BACKEND, "only Opus is spoken here")
    assert rig.of(Crashed) == []
    assert len(rig.sessions) == 0
    assert len(clock.began) == 1


def test_a_session_whose_back_end_is_away_may_be_tried_again() -> None:
    clock = Clock()
    rig = Rig(backends={"clock": clock})
    clock.away = True
    local = IceCredentials("ufrag", "p" * 24)
    offer = build_offer(local, identity("tandem").fingerprint, origin=1)
    (refused,) = [o for o in rig.do(Create(7, offer, "clock")) if isinstance(o, Refused)]
    assert refused == Refused(7, Problem.BACKEND_AWAY, "nobody answers")
    assert len(rig.sessions) == 0


class Metronome(Clock):
    """Says its name by the short way."""

    def play(self, session: SessionId, now: float) -> tuple[list[SendAudio], float] | None:
        if now >= self.breaks_at:
            raise LookupError("a bug in a back end")
        if now < self.due[session]:
            return None
        self.due[session] += 0.02
        return [SendAudio(b"tick", int(now * 48_000), 111)], self.due[session]


def test_frames_may_leave_by_a_shorter_way() -> None:
    clock = Metronome()
    rig = Rig(backends={"clock": clock})
    caller = rig.call(Endpoint("198.51.100.9", 9), backend="clock")
    rig.run_until(lambda: caller.connected)
    before = len(caller.heard)
    rig.run(1.0)
    assert 49 <= len(caller.heard) - before <= 51
    clock.breaks_at = rig.now
    rig.run(1.0)
    (crashed,) = rig.of(Crashed)
    assert crashed.session == caller.id
    assert len(rig.sessions) == 0
