"""Chunks that have left and are not acknowledged (RFC 9260, 6.3 and 7.2.4; RFC 3758, 3.5).

A chunk counts as lost when three acknowledgements tell of chunks that left after it. "After it" is
judged anew each time it is sent, so that one lost twice needs no time-out for the second time, other
than in RFC 9260, 7.2.4, where a chunk is retransmitted quickly only once.
"""

from __future__ import annotations

from enum import Enum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from config.ids import Instant
from workers.transceiver.core.sctp.outbox import Outgoing
from workers.transceiver.core.sctp.serial import SSN_MASK, TSN_MASK
from workers.wire.sctp import encode_data
from workers.wire.sctp_chunks import Data, ForwardTsn

MISSING_REPORTS: Final = 3
MAX_CHUNKS: Final = 8192
MAX_FORWARD_STREAMS: Final = 128


class _Fate(Enum):
    FLYING = "flying"
    LOST = "lost"
    ACKED = "acked"
    ABANDONED = "abandoned"


class _Sent:
    __slots__ = ("encoded", "fate", "message", "missing", "sent_at", "times", "until")

    def __init__(self, encoded: bytes, message: Outgoing, now: Instant, until: int) -> None:
        self.encoded = encoded
        self.message = message
        self.fate = _Fate.FLYING
        self.sent_at = now
        self.times = 1
        self.missing = 0
        self.until = until
        """The first TSN that had not left when it was last sent."""


class Report(NamedTuple):
    """What an acknowledgement said."""

    cumulative: int
    """Bytes by which the cumulative TSN advanced."""
    progress: bool
    """Anything was acknowledged for the first time."""
    flight: int
    """Bytes on their way before it."""
    round_trip: float | None
    loss: bool
    """Chunks were found to be lost."""


class Flight:
    """TSNs from `cumulative` + 1 up to `next` - 1."""

    def __init__(self, initial: int) -> None:
        self.cumulative = initial - 1
        self.next = initial
        self.flying = 0
        """Bytes on their way, headers included: not acknowledged and not found lost."""
        self.held = 0
        """Bytes kept for the case that they are to be sent again."""
        self.partial = False
        """The peer knows FORWARD-TSN: messages may be given up."""
        self._sent: dict[int, _Sent] = {}
        self._lost: list[int] = []
        self._given_up = initial - 1
        self._forwarded = initial - 1
        self._last_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def full(self) -> bool:
        """No more chunks, however small."""
        return len(self._sent) >= MAX_CHUNKS

    def arrived(self, stream: int) -> bool:
        """All that left on this stream has been acknowledged, or given up."""
        return self._last_of.get(stream, -1) <= self.cumulative

    def send(self, message: Outgoing, payload: bytes, *, begin: bool, now: Instant) -> bytes:
        """A fragment leaves for the first time: the encoded chunk."""
        tsn, self.next = self.next, self.next + 1
        end = message.offset == len(message.payload)
        encoded = encode_data(
            Data(
                tsn & TSN_MASK,
                message.stream,
                message.sequence,
                message.protocol,
                payload,
                begin,
                end,
                message.unordered,
            )
        )
        if begin:
            message.first_tsn = tsn
        message.last_tsn = self._last_of[message.stream] = tsn
        self._sent[tsn] = _Sent(encoded, message, now, tsn + 1)
        self.flying += len(encoded)
        self.held += len(encoded)
        return encoded

    def lost(self) -> int | None:
        """Size of the first chunk to be sent again, if there is one."""
        while self._lost:
            sent = self._sent.get(self._lost[0])
            if sent is not None and sent.fate is _Fate.LOST:
                return len(sent.encoded)
            heappop(self._lost)
        return None

    def resend(self, now: Instant) -> bytes:
        """The chunk that `lost` found."""
        sent = self._sent[heappop(self._lost)]
        sent.fate, sent.missing, sent.until, sent.sent_at = _Fate.FLYING, 0, self.next, now
        sent.times += 1
        self.flying += len(sent.encoded)
        return sent.encoded

    def acknowledge(
        self, cumulative: int, gaps: tuple[tuple[int, int], ...], now: Instant
    ) -> Report | None:
        """Take a SACK; None if it is old or says what cannot be."""
        if not self.cumulative <= cumulative < self.next:
            return None
        previous = 0
        for first, last in gaps:
            if not previous < first <= last:
                return None
            previous = last
        flight, advanced, highest, round_trip = self.flying, 0, -1, None
        progress = cumulative > self.cumulative
        for tsn in range(self.cumulative + 1, cumulative + 1):
            sent = self._sent.pop(tsn)
            advanced += len(sent.encoded)
            self.held -= len(sent.encoded)
            if sent.fate is _Fate.FLYING:
                self.flying -= len(sent.encoded)
            if sent.fate is not _Fate.ACKED:
                highest = tsn
                round_trip = now - sent.sent_at if sent.times == 1 else round_trip
        self.cumulative = cumulative
        self._given_up = max(self._given_up, cumulative)
        for first, last in gaps:
            for tsn in range(cumulative + first, min(cumulative + last + 1, self.next)):
                sent = self._sent[tsn]
                if sent.fate is _Fate.FLYING or sent.fate is _Fate.LOST:
                    if sent.fate is _Fate.FLYING:
                        self.flying -= len(sent.encoded)
                    sent.fate, highest, progress = _Fate.ACKED, tsn, True
                    round_trip = now - sent.sent_at if sent.times == 1 else round_trip
        loss = bool(gaps) and highest >= 0 and self._count_missing(highest, now)
        return Report(advanced, progress, flight, round_trip, loss)

    def _count_missing(self, highest: int, now: Instant) -> bool:
        """Chunks that left before `highest`, and are still missing, get a mark; three are a loss."""
        loss = False
        for tsn, sent in self._sent.items():
            if tsn >= highest:
                break
            if sent.fate is _Fate.FLYING and highest >= sent.until:
                sent.missing += 1
                if sent.missing >= MISSING_REPORTS:
                    self._lose(tsn, sent, now)
                    loss = True
        return loss

    def expire(self, now: Instant, *, reneged: bool) -> None:
        """The retransmission timer did: all is lost. `reneged`: acknowledged gaps as well."""
        for tsn, sent in list(self._sent.items()):
            if sent.fate is _Fate.ACKED and reneged:
                sent.fate = _Fate.LOST
                heappush(self._lost, tsn)
            elif sent.fate is _Fate.FLYING:
                self._lose(tsn, sent, now)
        self._forwarded = min(self._forwarded, self.cumulative)

    def _lose(self, tsn: int, sent: _Sent, now: Instant) -> None:
        self.flying -= len(sent.encoded)
        sent.fate = _Fate.LOST
        if self.partial and sent.message.worthless(now, sent.times):
            self._abandon(sent.message)
        else:
            heappush(self._lost, tsn)

    def _abandon(self, message: Outgoing) -> None:
        message.abandoned = True
        for tsn in range(max(message.first_tsn, self.cumulative + 1), message.last_tsn + 1):
            sent = self._sent[tsn]
            if sent.fate is _Fate.FLYING:
                self.flying -= len(sent.encoded)
            sent.fate = _Fate.ABANDONED

    def forward(self) -> ForwardTsn | None:
        """What the peer must be told to skip, if it has not been told."""
        streams: dict[int, int] = {}
        while (sent := self._sent.get(self._given_up + 1)) and sent.fate is _Fate.ABANDONED:
            self._given_up += 1
        if self._given_up <= max(self._forwarded, self.cumulative):
            return None
        told = self.cumulative
        for tsn in range(self.cumulative + 1, self._given_up + 1):
            message = self._sent[tsn].message
            if not message.unordered:
                if len(streams) >= MAX_FORWARD_STREAMS and message.stream not in streams:
                    break
                streams[message.stream] = message.sequence & SSN_MASK
            told = tsn
        self._forwarded = self._given_up
        return ForwardTsn(told & TSN_MASK, tuple(streams.items()))
