"""What a client says, as items for its back end: in packets as they came, or as PCM by our clock."""

from __future__ import annotations

from typing import Final, Protocol

from config.ids import Instant
from ipc.backend.messages import AudioIn, Dtmf, Speech, ToBackend
from workers.transceiver.audio.formats import EVENTS
from workers.transceiver.audio.hearing import Hearing
from workers.transceiver.audio.interface import Dtmf as Press
from workers.transceiver.audio.jitter import STEP
from workers.transceiver.audio.keypad import KeysHeard
from workers.transceiver.audio.sequencer import Ordered, Sequencer
from workers.transceiver.audio.serial import Unwrapper
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    Stream,
)
from workers.transceiver.media.loans import EarLoan, EarTerms, Line, Loans

MAX_STEPS: Final = 5
"""Steps of sound taken at once when the timer was late; more time than that was lost for everybody."""
_STEP_MS: Final = round(STEP * 1000)


class VoiceActivity(Protocol):
    """Hears one STEP of PCM after the other and says when somebody begins and ceases to speak."""

    def handle(self, pcm: bytes, at: int) -> list[tuple[bool, int]]:
        """(begins or ceases, when in ms of media) for each change; `at` is when this sound began."""


class Ear(Protocol):
    """Sans-IO."""

    @property
    def late(self) -> int:
        """Packets that came after their turn."""

    def take_next(self, packet: AudioReceived, now: Instant) -> AudioIn | None:
        """What a packet says that is the very next one and changes nothing else: nearly all are.

        None: it is none such, and is still to be handled.
        """

    def handle(self, packet: AudioReceived, now: Instant) -> list[ToBackend]:
        """A packet of the client's."""

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to say."""

    def handle_timeout(self, now: Instant) -> list[ToBackend]:
        """What time has brought."""


class PacketEar:
    """Packets in order, each at once; `at` is its RTP timestamp, from 0 on."""

    def __init__(self, session: str, audio: AudioParameters, codec: Codec, now: Instant) -> None:
        self._session = session
        self._clock = codec.clock_rate
        self._keys = {
            each.payload_type: KeysHeard(each.clock_rate)
            for each in audio.codecs
            if each.name == EVENTS
        }
        self._spoken = {each.payload_type for each in audio.codecs if each.name == codec.name}
        self._sequencer = Sequencer()
        self._since = now
        self._ssrc = -1
        self._timestamps = Unwrapper(32)
        self._offset = 0
        """From unwrapped timestamps to milliseconds since the beginning, in the clock."""
        self._at = 0
        self._loan: EarLoan | None = None
        self._type = -1
        """Of the last packet."""

    @property
    def late(self) -> int:
        """Packets that came after their turn."""
        return self._sequencer.late

    def lend(self, loans: Loans, stream: Stream, line: Line) -> None:
        """Let the plane take packets that are simply the next, if nothing else is to be done."""
        due = self._sequencer.due
        if self._loan is None and due is not None and self._type in self._spoken:
            terms = EarTerms(
                self._session,
                self._type,
                self._ssrc,
                due & 0xFFFF,
                self._timestamps.highest,
                self._offset,
                self._clock,
            )
            self._loan = loans.lend_ear(stream, line, terms)

    def end_loan(self) -> None:
        """Take them ourselves again."""
        loan, self._loan = self._loan, None
        if loan is not None:
            end = loan.end()
            if end.taken:
                self._sequencer.skip(end.taken)
                self._timestamps.highest = end.timestamp
                self._at = end.at

    def take_next(self, packet: AudioReceived, now: Instant) -> AudioIn | None:
        """What a packet says that is the very next one; None: it is none such."""
        if self._loan is not None:
            self.end_loan()
        if packet.payload_type not in self._spoken or not self._sequencer.take_next(packet):
            return None
        self._at = self._place(packet, now)
        return AudioIn(self._session, self._at, packet.payload)

    def handle(self, packet: AudioReceived, now: Instant) -> list[ToBackend]:
        """A packet of the client's."""
        self.end_loan()
        return self._tell(self._sequencer.handle(packet, now), now)

    def next_timeout(self) -> Instant | None:
        """When a gap is given up, or a key that nobody speaks of is up."""
        due = self._sequencer.next_timeout()
        for keys in self._keys.values():
            up = keys.next_timeout()
            if up is not None and (due is None or up < due):
                due = up
        return due

    def handle_timeout(self, now: Instant) -> list[ToBackend]:
        """What time has brought."""
        items = self._tell(self._sequencer.handle_timeout(now), now)
        for keys in self._keys.values():
            items += pressed(self._session, keys.handle_timeout(now))
        return items

    def _tell(self, ready: list[Ordered], now: Instant) -> list[ToBackend]:
        items: list[ToBackend] = []
        for (packet,) in ready:
            if packet is None:
                self._at += _STEP_MS
                items.append(AudioIn(self._session, self._at, lost=_STEP_MS))
            elif packet.payload_type in self._spoken:
                self._at = self._place(packet, now)
                items.append(AudioIn(self._session, self._at, packet.payload))
            elif (keys := self._keys.get(packet.payload_type)) is not None:
                presses = keys.handle(packet.payload, packet.timestamp, packet.ssrc, now)
                items += pressed(self._session, presses)
        return items

    def _place(self, packet: AudioReceived, now: Instant) -> int:
        """Milliseconds since the beginning; a new source goes on where time stands."""
        self._type = packet.payload_type
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._timestamps = Unwrapper(32)
            passed = round((now - self._since) * self._clock)
            self._offset = passed - self._timestamps.extend(packet.timestamp)
        ticks = self._timestamps.extend(packet.timestamp) + self._offset
        return max(0, ticks * 1000 // self._clock)


class PcmEar:
    """A STEP of sound each STEP of time, whatever the network does."""

    def __init__(
        self,
        session: str,
        audio: AudioParameters,
        rate: int,
        now: Instant,
        voice: VoiceActivity | None,
    ) -> None:
        """Raises LibraryMissing."""
        self._session = session
        self._hearing = Hearing(audio.codecs, rate)
        self._voice = voice
        self._since = now
        self._steps = 0

    @property
    def late(self) -> int:
        """Packets that came after their turn."""
        return self._hearing.stats.late

    def take_next(self, packet: AudioReceived, now: Instant) -> AudioIn | None:
        """None: a packet says nothing before its time."""
        return None

    def handle(self, packet: AudioReceived, now: Instant) -> list[ToBackend]:
        """A packet of the client's."""
        return pressed(self._session, self._hearing.handle(packet, now))

    def next_timeout(self) -> Instant | None:
        """When the next step is due."""
        step = self._since + (self._steps + 1) * STEP
        keys = self._hearing.next_timeout()
        return step if keys is None else min(step, keys)

    def handle_timeout(self, now: Instant) -> list[ToBackend]:
        """The steps that are due."""
        items = pressed(self._session, self._hearing.handle_timeout(now))
        # A hair early is in time: sums of 0.02 are not exact.
        due = int((now - self._since) / STEP + 1e-6) - self._steps
        if due > MAX_STEPS:
            self._steps += due - MAX_STEPS
            self._hearing.leave_out(now)
        for _ in range(min(due, MAX_STEPS)):
            at = self._steps * _STEP_MS
            self._steps += 1
            pcm = self._hearing.take(now).pcm
            items.append(AudioIn(self._session, at, pcm))
            if self._voice is not None:
                changes = self._voice.handle(pcm, at)
                items += [Speech(self._session, active, when) for active, when in changes]
        return items


def pressed(session: str, presses: list[Press]) -> list[ToBackend]:
    """Keys, in the words of the protocol."""
    return [Dtmf(session, each.digit, round(each.duration * 1000)) for each in presses]
