"""The echo that decodes: what a caller says becomes PCM and speech again, in steps of 20 ms.

It says back what any back end of PCM would hear: through the jitter buffer, with losses mended, keys as
keys. So it is both the test of that way and the measure of what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from config.ids import Instant, SessionId
from workers.transceiver.audio.formats import require
from workers.transceiver.audio.hearing import Hearing, HearingStats
from workers.transceiver.audio.interface import Dtmf
from workers.transceiver.audio.jitter import STEP
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.audio.opus import COMPLEXITY
from workers.transceiver.audio.speaking import Speaking
from workers.transceiver.backends.base import Backend, Unfit
from workers.transceiver.core.interface import (
    AudioParameters,
    AudioReceived,
    Created,
    ForSession,
    FromSession,
    LossReported,
    SendAudio,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.sctp.interface import MessageReceived, SendMessage
from workers.transceiver.core.states import SessionState

RATE: Final = 16_000
GRID: Final = 0.004
"""Seconds: sessions take their steps at multiples of it, so that one wake-up serves several."""
CATCH_UP: Final = 5
"""Steps that are made up for after the process was held up; what is beyond is left out."""


class EchoPcm(Backend):
    """Serves sessions whose first codec this machine can decode."""

    def __init__(
        self, entropy: Callable[[int], bytes], rate: int = RATE, complexity: int = COMPLEXITY
    ) -> None:
        self._entropy = entropy
        self._rate = rate
        self._complexity = complexity
        self._audio: dict[SessionId, AudioParameters] = {}
        self._calls: dict[SessionId, _Call] = {}

    def begin(self, created: Created, now: Instant) -> None:
        """Raises Unfit without the library that the first codec needs."""
        audio = created.audio
        if audio is None:
            return
        try:
            require(audio.codecs[0], self._rate)
        except LibraryMissing as error:
            raise Unfit(str(error)) from None
        self._audio[created.session] = audio

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """Hear audio and keys; say back messages at once."""
        session, output = event.session, event.output
        if isinstance(output, AudioReceived):
            call = self._calls.get(session)
            if call is not None:
                call.hear(output, now)
        elif isinstance(output, MessageReceived):
            message = SendMessage(output.channel, output.payload, output.text)
            return [ForSession(session, message)]
        elif isinstance(output, LossReported):
            call = self._calls.get(session)
            if call is not None:
                call.speaking.expect_loss(output.share)
        elif isinstance(output, SessionClosed):
            self._audio.pop(session, None)
            self._calls.pop(session, None)
        elif output == StateChanged(SessionState.CONNECTED):
            audio = self._audio.get(session)
            if audio is not None:
                self._calls[session] = _Call(
                    Hearing(audio.codecs, self._rate),
                    Speaking(
                        audio.codecs,
                        self._rate,
                        self._entropy,
                        packet_time=audio.packet_time,
                        complexity=self._complexity,
                    ),
                    math.ceil(now / GRID) * GRID,
                )
        return []

    def next_timeout(self, session: SessionId) -> Instant | None:
        """When the next step of that session is due."""
        call = self._calls.get(session)
        return None if call is None else call.due

    def handle_timeout(self, session: SessionId, now: Instant) -> list[ForSession]:
        """Say back one step of sound, and more after a hold-up."""
        call = self._calls.get(session)
        if call is None:
            return []
        return [ForSession(session, packet) for packet in call.step(now)]

    def stats(self, session: SessionId) -> HearingStats | None:
        """How that session is heard; None before it is connected."""
        call = self._calls.get(session)
        return None if call is None else call.hearing.stats


class _Call:
    """One session's ear and mouth."""

    __slots__ = ("due", "hearing", "speaking")

    def __init__(self, hearing: Hearing, speaking: Speaking, due: Instant) -> None:
        self.hearing = hearing
        self.speaking = speaking
        self.due = due
        """Of the next step."""

    def hear(self, packet: AudioReceived, now: Instant) -> None:
        """Into the jitter buffer; keys go back as soon as they are up."""
        self._press(self.hearing.handle(packet, now))

    def step(self, now: Instant) -> list[SendAudio]:
        """All steps that are due. Time goes by their clock, not by when somebody found the time."""
        packets: list[SendAudio] = []
        missed = int((now - self.due) / STEP) + 1 - CATCH_UP
        if missed > 0:
            self.due += missed * STEP
            self.hearing.leave_out(self.due)
        while self.due <= now:
            heard = self.hearing.take(self.due)
            self._press(self.hearing.handle_timeout(self.due))
            silence = heard.silent and not any(heard.pcm)
            packets += self.speaking.step(b"" if silence else heard.pcm)
            self.due += STEP
        return packets

    def _press(self, keys: list[Dtmf]) -> None:
        for key in keys:
            self.speaking.press(key.digit, key.duration)
