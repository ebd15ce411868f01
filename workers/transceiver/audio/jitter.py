"""The jitter buffer: packets in as they come, out in order, when their time has come.

The consumer asks (`take`) whenever it has nothing left to play, so its clock decides. What it gets:

    Play    the next packet, and by how much to stretch or squeeze it
    Lost    the next packet is not here: conceal. Nothing behind it is here either: time stands still, for
            it may yet come, and is then played, later than before by what was concealed meanwhile.
            Something behind it is here: its time is over, and it is given up.
    Idle    the peer sends nothing. DTX shows as a step of the timestamp without one of the sequence.

How late everything is played is thus never set, only steered: it grows by concealing while waiting or by
stretching, it shrinks by squeezing or by not waiting through what is lost, and after each silence it is
chosen anew. It is right from `target` (see delay.py) to one step of the consumer more.

Bounded in packets, bytes and seconds, whatever comes; counts are for statistics.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from config.ids import Instant
from workers.transceiver.audio.delay import MAX_TARGET, DelayEstimate
from workers.transceiver.audio.interface import Idle, Item, Lost, Play
from workers.transceiver.audio.serial import Unwrapper
from workers.wire.opus import SILENT

MAX_PACKETS: Final = 200
MAX_BYTES: Final = 65_536
MAX_DELAY: Final = 1.0
"""Seconds; what has waited longer is not played, if there is something behind it."""
MAX_JUMP: Final = 3000
"""Sequence numbers; beyond that it is another stream (RFC 3550, A.1)."""
MAX_CONCEALED: Final = 0.12
"""Seconds without a packet until the peer is taken to be silent."""
STEP: Final = 0.02
"""Seconds that the consumer asks for at a time."""

_IDLE: Final = Idle()
_SEEN: Final = 256
"""How far back repetitions are told from latecomers."""


class _Packet(NamedTuple):
    sequence: int
    timestamp: int
    duration: int
    """0: no audio, only a sequence number that is not missing."""
    payload: bytes
    payload_type: int


class JitterBuffer:
    """One stream of audio, in one clock. Sequence numbers and timestamps wrap, SSRCs change."""

    def __init__(self, clock_rate: int) -> None:
        self.received = 0
        self.late = 0
        """Came after their time was given up, or had waited too long, for the network or for us."""
        self.duplicate = 0
        self.lost = 0
        """Given up; those that come after all count as late, too."""
        self.concealed = 0
        """RTP clock, all that was asked to be concealed."""
        self.overflowed = 0
        """Dropped because there was no room."""
        self.delay = 0.0
        """Seconds that the last packet was played behind the quickest of its age."""
        self.estimate: Final = DelayEstimate(clock_rate)
        self._clock_rate = clock_rate
        self._step = int(STEP * clock_rate)
        self._packets: dict[int, _Packet] = {}
        self._bytes = 0
        self._ssrc = -1
        self._sequences = Unwrapper(16)
        self._timestamps = Unwrapper(32)
        self._seen = 0
        """Bit n: the sequence number n below the highest has come."""
        self._running = False
        self._expected = -1
        """The sequence number to play next."""
        self._position = 0
        """The timestamp to play next."""
        self._stalled = 0
        """Concealed while waiting for `_expected`, in the RTP clock."""
        self._silent = True
        """The last packet played says that the peer is in DTX."""
        self._duration = self._step
        """Of the last packet."""

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def jitter(self) -> float:
        """Seconds (RFC 3550, 6.4.1)."""
        return self.estimate.jitter

    @property
    def target(self) -> float:
        """Seconds; the least delay that is wanted now."""
        return self.estimate.target

    # --- in ---------------------------------------------------------------------------------------

    def put(
        self,
        payload: bytes,
        payload_type: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        duration: int,
        now: Instant,
    ) -> None:
        """Take a packet that plays for `duration` (RTP clock, above 0), at the time it came."""
        number = self._arrive(sequence, ssrc)
        if number is None:
            return
        moment = self._timestamps.extend(timestamp)
        if not self.estimate.arrive(moment, now):
            # The sender has set its clock: when to play what came before, nobody knows any more.
            self.late += len(self._packets)
            self._packets.clear()
            self._bytes = 0
            self._running = False
            self._expected = number
        if number < self._expected:
            self.late += 1
            return
        self._keep(_Packet(number, moment, duration, payload, payload_type))

    def _keep(self, packet: _Packet) -> None:
        self._packets[packet.sequence] = packet
        self._bytes += len(packet.payload)
        while len(self._packets) > MAX_PACKETS or self._bytes > MAX_BYTES:
            self._drop(self._head())
            self.overflowed += 1

    def skip(self, sequence: int, ssrc: int) -> None:
        """A packet of the stream that is no audio (a telephone event) has this sequence number."""
        number = self._arrive(sequence, ssrc)
        if number is not None and number >= self._expected:
            self._keep(_Packet(number, 0, 0, b"", -1))

    def _arrive(self, sequence: int, ssrc: int) -> int | None:
        """Its number, unwrapped; None if it has come before."""
        self.received += 1
        if ssrc != self._ssrc:
            self._restart(ssrc)
        highest = self._sequences.highest
        number = self._sequences.peek(sequence)
        if highest >= 0 and abs(number - highest) > MAX_JUMP:
            self._restart(ssrc)
            highest, number = -1, self._sequences.peek(sequence)
        self._sequences.extend(sequence)
        if number > highest:
            ahead = min(number - highest, _SEEN) if highest >= 0 else _SEEN
            self._seen = (self._seen << ahead | 1) & (1 << _SEEN) - 1
            return number
        bit = 1 << highest - number
        if (highest - number < _SEEN and self._seen & bit) or number in self._packets:
            self.duplicate += 1
            return None
        self._seen |= bit & (1 << _SEEN) - 1
        return number

    def _restart(self, ssrc: int) -> None:
        """Another stream: nothing of the old one means anything for it, but how the network is."""
        self._ssrc = ssrc
        self._packets.clear()
        self._bytes = 0
        self._sequences = Unwrapper(16)
        self._timestamps = Unwrapper(32)
        self.estimate.forget()
        self._seen = 0
        self._running = False
        self._expected = -1
        self._stalled = 0

    # --- out --------------------------------------------------------------------------------------

    def take(self, now: Instant, ahead: int = 0) -> Item:
        """What to play next, beginning `ahead` (RTP clock) after now: what is decoded and not played.

        After Idle ask again a step later; what to play until then is silence.
        """
        at = now + ahead / self._clock_rate
        head = self._audible()
        if head is None:
            return self._starved()
        late = self.estimate.lateness(head.timestamp, at)
        while late > MAX_DELAY and (following := self._behind(head)) is not None:
            self._drop(head)
            self.late += 1
            head, late = following, self.estimate.lateness(following.timestamp, at)
        if not self._running:
            return self._begin(head, late)
        missing = head.sequence - self._expected
        gap = head.timestamp - self._position
        if gap > 0:
            if missing == 0:
                return self._begin(head, late)
            if late < self.target and gap > self._stalled:
                return self._conceal(head, gap - self._stalled, late)
        return self._play(head, late)

    def leave_out(self, now: Instant) -> None:
        """The consumer was held up, and time went on without it: what should have been played before
        now is given up, which costs nothing. To catch up by squeezing would cost it more than playing.
        """
        while (
            (head := self._audible()) is not None
            and self.estimate.lateness(head.timestamp, now) > self.target + STEP
            and self._behind(head) is not None
        ):
            self._drop(head)
            self.late += 1

    def _begin(self, head: _Packet, late: float) -> Item:
        """After a silence there is nothing to stretch: just begin at the right time."""
        # Half a step early or half a step late: as near as the consumer's steps come.
        if late < self.target:
            self._running = False
            return _IDLE
        self._running = True
        return self._play(head, late)

    def _play(self, head: _Packet, late: float) -> Play:
        self._drop(head)
        self._position = head.timestamp + head.duration
        self._duration = head.duration
        self._silent = len(head.payload) <= SILENT
        self._stalled = 0
        self.delay = late
        adjust = 0
        if late < self.target:
            adjust = int((self.target - late) * self._clock_rate)
        elif late > self.target + STEP and (self._packets or late <= MAX_TARGET):
            # Later than any target and nothing behind it: then it is not we who are late, but the
            # network (or a clock that was set), and haste would only make gaps.
            adjust = int((self.target + STEP - late) * self._clock_rate)
        return Play(head.payload, head.payload_type, head.duration, adjust)

    def _starved(self) -> Item:
        """Nothing is here at all."""
        if not self._running:
            return _IDLE
        if self._silent or self._stalled >= MAX_CONCEALED * self._clock_rate:
            self._running = False
            return _IDLE
        self._stalled += self._duration
        self.concealed += self._duration
        return Lost(self._duration, None)

    def _conceal(self, head: _Packet, gap: int, late: float) -> Item:
        """`gap` before `head` is missing still, and there is time to fill it."""
        if gap > MAX_CONCEALED * self._clock_rate:
            self._running = False
            return _IDLE
        duration = min(gap, self._duration)
        self.concealed += duration
        if late + gap / self._clock_rate + STEP <= self.target:
            # The delay is too short, and here is a place to make it longer.
            self._stalled += duration
            return Lost(duration, None)
        if duration < gap:
            self._position += duration
            if self._expected < head.sequence - 1:
                self._expected += 1
                self.lost += 1
            return Lost(duration, None)
        self.lost += head.sequence - self._expected
        self._expected, self._position, self._stalled = head.sequence, head.timestamp, 0
        return Lost(duration, head.payload)

    def _audible(self) -> _Packet | None:
        """The first packet with audio; what has none before it is done with."""
        while self._packets:
            head = self._packets.get(self._expected) or self._head()
            if head.duration:
                return head
            self._drop(head)
        return None

    def _behind(self, head: _Packet) -> _Packet | None:
        """The next packet with audio after this one."""
        behind = (n for n, p in self._packets.items() if n > head.sequence and p.duration)
        first = min(behind, default=None)
        return None if first is None else self._packets[first]

    def _head(self) -> _Packet:
        return self._packets[min(self._packets)]

    def _drop(self, packet: _Packet) -> None:
        """It is out, and what was before it is given up."""
        if self._expected >= 0:
            self.lost += packet.sequence - self._expected
        del self._packets[packet.sequence]
        self._bytes -= len(packet.payload)
        self._expected = packet.sequence + 1
