"""Packets in their order, for whoever decodes himself: what is late is waited for a little, then lost.

A packet that is next goes on at once; nothing is delayed unless something is missing. Behind a gap at most
HOLD packets wait, HOLD_SECONDS long.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from config.ids import Instant
from workers.transceiver.audio.serial import Unwrapper
from workers.transceiver.core.streams.interface import AudioReceived

HOLD: Final = 5
HOLD_SECONDS: Final = 0.06
MAX_GAP: Final = 50
"""Lost packets that are told one by one; more of them are another stream, or an outage."""


class Ordered(NamedTuple):
    """The next packet, or that it is lost (None)."""

    packet: AudioReceived | None


class Sequencer:
    """One session's."""

    def __init__(self) -> None:
        self.late = 0
        """Came twice, or after they were given up."""
        self.lost = 0
        self._ssrc = -1
        self._numbers = Unwrapper(16)
        self._next = -1
        self._held: dict[int, AudioReceived] = {}
        self._held_since: Instant = 0.0

    def handle(self, packet: AudioReceived, now: Instant) -> list[Ordered]:
        """Take one packet; what can go on now."""
        if packet.ssrc != self._ssrc:
            return self._begin(packet)
        if self.take_next(packet):
            return [Ordered(packet)]
        number = self._numbers.extend(packet.sequence)
        if number < self._next or number in self._held:
            self.late += 1
            return []
        if number - self._next > MAX_GAP:
            return [*self._release(), *self._begin(packet)]
        if not self._held:
            self._held_since = now
        self._held[number] = packet
        ready = self._follow()
        if len(self._held) > HOLD:
            ready += self._give_up()
        if ready:
            self._held_since = now
        return ready

    def take_next(self, packet: AudioReceived) -> bool:
        """Whether it is the very next one and nothing waits: then it is taken, and goes on alone."""
        due = self._next
        if packet.sequence != due & 0xFFFF or packet.ssrc != self._ssrc or self._held:
            return False
        self._numbers.highest = due
        self._next = due + 1
        return True

    @property
    def due(self) -> int | None:
        """Number of the very next packet, if there is a source and nothing waits."""
        return None if self._held or self._ssrc < 0 else self._next

    def skip(self, packets: int) -> None:
        """So many were the very next ones, and have gone on."""
        self._next += packets
        self._numbers.highest = self._next - 1

    def next_timeout(self) -> Instant | None:
        """When what is missing is given up."""
        return self._held_since + HOLD_SECONDS if self._held else None

    def handle_timeout(self, now: Instant) -> list[Ordered]:
        """Give up what has been waited for long enough."""
        due = self.next_timeout()
        return [] if due is None or now < due else self._give_up()

    def _begin(self, packet: AudioReceived) -> list[Ordered]:
        """Another source, or one that has jumped."""
        ready = self._release()
        self._ssrc = packet.ssrc
        self._numbers = Unwrapper(16)
        self._next = self._numbers.extend(packet.sequence) + 1
        ready.append(Ordered(packet))
        return ready

    def _follow(self) -> list[Ordered]:
        ready: list[Ordered] = []
        while (packet := self._held.pop(self._next, None)) is not None:
            ready.append(Ordered(packet))
            self._next += 1
        return ready

    def _give_up(self) -> list[Ordered]:
        """What is missing before the first that is here is lost."""
        first = min(self._held)
        missing = first - self._next
        self.lost += missing
        self._next = first
        return [Ordered(None)] * missing + self._follow()

    def _release(self) -> list[Ordered]:
        ready: list[Ordered] = []
        while self._held:
            ready += self._give_up()
        return ready
