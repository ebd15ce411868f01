"""A connection is joined to itself, a message comes back; nothing else gives anything."""

from __future__ import annotations

from config.ids import SessionId
from ipc.messages.sessions import CloseReason
from workers.transceiver.backends.echo import Echo
from workers.transceiver.core.interface import (
    AudioReceived,
    ForSession,
    ForwardAudio,
    FromSession,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage
from workers.transceiver.core.states import SessionState

ID = SessionId("rtc_0_x")


def test_a_session_hears_itself_once_it_is_connected() -> None:
    connected = FromSession(ID, StateChanged(SessionState.CONNECTED))
    assert Echo().handle(connected, 0.0) == [ForSession(ID, ForwardAudio(ID))]


def test_a_message_goes_back_as_it_came() -> None:
    said = FromSession(ID, MessageReceived(3, b"hello", text=True))
    assert Echo().handle(said, 0.0) == [ForSession(ID, SendMessage(3, b"hello", True))]


def test_the_rest_is_of_no_interest() -> None:
    frame = AudioReceived(b"opus", 111, 7, 960, True, 42)
    for output in (
        StateChanged(SessionState.CHECKING),
        frame,
        SessionClosed(CloseReason.HANGUP),
    ):
        assert Echo().handle(FromSession(ID, output), 0.0) == []
