"""A sender, a network and a consumer of audio in virtual time: weather for the jitter buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from workers.transceiver.audio.interface import Idle, Item, Lost, Play
from workers.transceiver.audio.jitter import JitterBuffer

CLOCK = 48_000
FRAME = 960
STEP = 0.02
WAY = 0.04
"""Seconds that the quickest packet takes."""


@dataclass(slots=True)
class Sent:
    """A packet on its way."""

    payload: bytes
    sequence: int
    timestamp: int
    ssrc: int = 1


@dataclass(slots=True)
class Weather:
    """Packets, one each 20 ms of a sender whose clock is `drift` too fast, through a network.

    The consumer asks each 20 ms of its own clock, and stretches and squeezes by `elastic` seconds a
    packet at most.
    """

    held_up: Callable[[float], float | None]
    """Seconds that a packet sent at that time takes longer than the quickest; None: it is lost."""
    drift: float = 0.0
    elastic: float = 0.008
    phase: float = 0.007
    first_sequence: int = 65_500
    first_timestamp: int = 0xFFFF_8000
    buffer: JitterBuffer = field(default_factory=lambda: JitterBuffer(CLOCK))
    now: float = 1000.0
    played: list[tuple[float, bytes]] = field(default_factory=list)
    items: list[tuple[float, Item]] = field(default_factory=list)
    _sent: int = 0
    _due: float = 0.0
    _next: float = 0.0
    _left: int = 0
    """Decoded and not yet played, in samples."""
    _order: Iterator[int] = field(default_factory=count)
    _under_way: list[tuple[float, int, Sent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._due = self.now
        self._next = self.now + self.phase

    def run(self, seconds: float, *, talking: bool = True) -> None:
        """Let time pass."""
        until = self.now + seconds
        while True:
            arrival = self._under_way[0][0] if self._under_way else float("inf")
            self.now = min(self._due, self._next, arrival)
            if self.now >= until:
                self.now = until
                return
            if self.now == self._due:
                if talking:
                    self._send()
                self._sent += 1
                self._due += STEP / (1 + self.drift)
            elif self.now == arrival:
                self._arrive(heappop(self._under_way)[2])
            else:
                self._take()
                self._next += STEP

    def hold_up(self, seconds: float) -> None:
        """The consumer asks for nothing for so long, and leaves out what it has missed."""
        until = self.now + seconds
        while self._next < until:
            self._next += STEP
        self.run(seconds)
        self.buffer.leave_out(self._next)

    def _send(self) -> None:
        self.first_sequence += 1
        packet = Sent(
            self._sent.to_bytes(8, "big"),
            self.first_sequence & 0xFFFF,
            (self.first_timestamp + self._sent * FRAME) & 0xFFFFFFFF,
        )
        held_up = self.held_up(self.now)
        if held_up is not None:
            heappush(self._under_way, (self.now + WAY + held_up, next(self._order), packet))

    def _arrive(self, packet: Sent) -> None:
        self.buffer.put(
            packet.payload, 111, packet.sequence, packet.timestamp, packet.ssrc, FRAME, self.now
        )

    def _take(self) -> None:
        while self._left < FRAME:
            item = self.buffer.take(self.now, self._left)
            self.items.append((self.now, item))
            match item:
                case Play():
                    most = int(self.elastic * CLOCK)
                    self._left += item.duration + max(-most, min(item.adjust, most))
                    self.played.append((self.now, item.payload))
                case Lost():
                    self._left += item.duration
                case Idle():
                    self._left = FRAME
        self._left -= FRAME

    def concealed_since(self, start: float) -> float:
        """Share of the played time that was concealed."""
        lost = sum(i.duration for t, i in self.items if t >= start and isinstance(i, Lost))
        played = sum(i.duration for t, i in self.items if t >= start and isinstance(i, Play))
        return lost / max(lost + played, 1)
