"""Audio gives the same audio; nothing else gives anything."""

from __future__ import annotations

from config.ids import SessionId
from ipc.messages.sessions import CloseReason
from workers.transceiver.backends.echo import Echo
from workers.transceiver.core.interface import (
    AudioReceived,
    ForSession,
    FromSession,
    SendAudio,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.states import SessionState

ID = SessionId("rtc_0_x")


def test_a_frame_goes_back_as_it_came() -> None:
    frame = AudioReceived(b"opus", 111, 7, 960, True, 42)
    assert Echo().handle(FromSession(ID, frame), 0.0) == [
        ForSession(ID, SendAudio(b"opus", 960, 111, marker=True))
    ]


def test_the_rest_is_of_no_interest() -> None:
    for output in (StateChanged(SessionState.CONNECTED), SessionClosed(CloseReason.HANGUP)):
        assert Echo().handle(FromSession(ID, output), 0.0) == []
