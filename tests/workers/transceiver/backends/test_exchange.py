"""Sessions and back ends together: who hears what, and what a broken back end costs."""

from __future__ import annotations

from config.ids import Endpoint
from ipc.messages.sessions import CloseReason
from tests.support.transceiver import Rig
from workers.transceiver.backends.echo import Echo
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseSession,
    Crashed,
    ForSession,
    FromSession,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.states import SessionState


class Listener:
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
    assert listener.events[-1].output == SessionClosed(CloseReason.BACKEND_ENDED)
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
