"""The turns of sessions: what they produce becomes records, commands and news, and a bug ends one."""

from __future__ import annotations

import pytest

from config.ids import Endpoint, SessionId
from ipc.messages.sessions import CloseReason
from tests.support.transceiver import Caller, Rig
from workers.transceiver.core.interface import (
    CloseSession,
    Crashed,
    Dropped,
    Fared,
    FromSession,
    MeasureMedia,
    MediaMeasured,
    Path,
    SendDatagram,
    SendReport,
    SessionClosed,
    SessionEvent,
    SessionOutput,
    StateChanged,
)
from workers.transceiver.core.session import Session
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import SendStreamReport, StreamStats
from workers.wire.types import DropReason

CLOSE = CloseSession(CloseReason.HANGUP)


class Scripted(Session):
    """Answers the next event with what it was given, and remembers what it was told."""

    script: list[SessionOutput]
    told: list[SessionEvent]

    def handle(self, event: SessionEvent, now: float) -> list[SessionOutput]:
        self.told.append(event)
        script, self.script = self.script, []
        return script


def scripted(*script: SessionOutput, connect: bool = True) -> tuple[Rig, Caller, Scripted]:
    rig = Rig()
    caller = rig.connect() if connect else rig.call()
    session = rig.sessions._roster.entries[caller.id].core
    assert isinstance(session, Session)
    session.__class__ = Scripted
    assert isinstance(session, Scripted)
    session.script, session.told = list(script), []
    return rig, caller, session


def turn(rig: Rig, caller: Caller) -> list[object]:
    roster = rig.sessions._roster
    return list(roster.run(roster.entries[caller.id], CLOSE, rig.now))


def ends(outputs: list[object]) -> list[tuple[SessionId, CloseReason, str]]:
    """Whose end was told, and why; each with how its audio fared."""
    told = [o for o in outputs if isinstance(o, FromSession)]
    closed = [(o.session, o.output) for o in told if isinstance(o.output, SessionClosed)]
    assert all(end.fared == Fared(StreamStats(), None) for _, end in closed)
    return [(session, end.reason, end.detail) for session, end in closed]


def test_figures_are_given_at_once_and_a_report_goes_to_the_stream() -> None:
    rig, caller, session = scripted(MeasureMedia(), SendReport(b"report"))
    assert turn(rig, caller) == [SendStreamReport(0, b"report")]
    assert session.told == [CLOSE, MediaMeasured(rig.plane.stats(0))]


def test_a_report_without_a_stream_goes_nowhere() -> None:
    rig, caller, session = scripted(SendReport(b"report"), MeasureMedia(), connect=False)
    assert turn(rig, caller) == []
    assert len(session.told) == 2


def test_a_datagram_without_a_way_is_counted() -> None:
    rig, caller, _ = scripted()
    session = rig.sessions._roster.entries[caller.id].core
    assert isinstance(session, Scripted)
    nowhere = Path(*session.selected_path)._replace(remote=Endpoint("9.9.9.9", 9))  # type: ignore[misc]
    session.script = [SendDatagram(nowhere, b"\x16")]
    assert turn(rig, caller) == []
    assert rig.sessions.counters.refused == {DropReason.UNKNOWN_FLOW: 1}


def test_the_number_of_connected_sessions_follows_their_states() -> None:
    rig, caller, session = scripted(
        StateChanged(SessionState.CHECKING), StateChanged(SessionState.CONNECTED), connect=False
    )
    turn(rig, caller)
    assert rig.sessions.connected == 1
    session.script = [SessionClosed(CloseReason.HANGUP)]
    turn(rig, caller)
    assert rig.sessions.connected == len(rig.sessions) == 0


@pytest.mark.parametrize("again", [1, 3])
def test_a_session_is_closed_once(again: int) -> None:
    rig, caller, _ = scripted(*[SessionClosed(CloseReason.HANGUP)] * again)
    assert ends(turn(rig, caller)) == [(caller.id, CloseReason.HANGUP, "")]
    assert rig.sessions.counters.closed == {CloseReason.HANGUP: 1}


def test_a_drop_of_a_command_is_refused_and_not_a_record_lost() -> None:
    rig, caller, _ = scripted(Dropped(DropReason.UNKNOWN_CHANNEL))
    turn(rig, caller)
    assert rig.sessions.counters.refused == {DropReason.UNKNOWN_CHANNEL: 1}
    assert rig.sessions.counters.conserved


def test_a_bug_is_the_end_of_its_session_and_says_no_goodbye() -> None:
    rig, caller, session = scripted()
    session.handle = None  # type: ignore[assignment]
    crashed, *rest = turn(rig, caller)
    assert isinstance(crashed, Crashed)
    assert isinstance(crashed.error, TypeError)
    assert ends(rest) == [(caller.id, CloseReason.INTERNAL_ERROR, "TypeError")]
    assert len(rig.sessions) == 0
