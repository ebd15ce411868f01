"""The back end that says back what its caller says: every frame and every message at once."""

from __future__ import annotations

from config.ids import Instant
from workers.transceiver.backends.base import Backend
from workers.transceiver.core.interface import ForSession, ForwardAudio, FromSession, StateChanged
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage
from workers.transceiver.core.states import SessionState


class Echo(Backend):
    """Payload types mean the same in both directions, so frames go back as they came: by the plane."""

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """A connection is joined to itself, a message gives a message; all else is of no interest."""
        match event.output:
            case StateChanged(state=SessionState.CONNECTED):
                return [ForSession(event.session, ForwardAudio(event.session))]
            case MessageReceived(channel=channel, payload=payload, text=text):
                return [ForSession(event.session, SendMessage(channel, payload, text))]
            case _:
                return []
