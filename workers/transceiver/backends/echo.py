"""The back end that says back what it hears: every frame and every message at once."""

from __future__ import annotations

from config.ids import Instant
from workers.transceiver.core.interface import AudioReceived, ForSession, FromSession, SendAudio
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage


class Echo:
    """Payload types mean the same in both directions, so a frame goes back as it came."""

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """Audio gives audio, a message gives a message; everything else is of no interest."""
        audio = event.output
        if isinstance(audio, MessageReceived):
            message = SendMessage(audio.channel, audio.payload, audio.text)
            return [ForSession(event.session, message)]
        if not isinstance(audio, AudioReceived):
            return []
        frame = SendAudio(audio.payload, audio.timestamp, audio.payload_type, audio.marker)
        return [ForSession(event.session, frame)]
