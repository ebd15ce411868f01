"""Fragments become messages, and ordered messages wait for their turn (RFC 9260, 6.5, 6.6, 6.9).

Fragments of a message have consecutive TSNs. A *run* is what has come of one message without a hole;
runs are found by their first and last TSN, so that a fragment costs the same wherever it belongs.

Bounds: bytes kept, with a charge for each piece, stay below the window, or a message above it for the
one fragment that everything else waits for; runs, streams and messages that wait come out of it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from workers.transceiver.core.sctp.interface import CloseCause
from workers.transceiver.core.sctp.serial import unwrap_ssn
from workers.wire.sctp_chunks import Data

CHARGE: Final = 64
"""Bytes that a fragment costs beside its payload."""
WAITING: Final = 256
"""Bytes that a message costs which waits for its turn: what its answer will cost in the outbox."""
MAX_RUNS: Final = 512
MAX_STREAMS: Final = 1024
"""We accept ids below this (inbound streams of our INIT)."""


class ProtocolError(Exception):
    """Between the parts of an association: the peer did what ends it. Caught at the one door."""

    def __init__(self, cause: CloseCause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class Message(NamedTuple):
    """One whole message of the peer."""

    stream: int
    protocol: int
    payload: bytes


class _Run:
    __slots__ = ("begin", "end", "first", "head", "last", "pieces", "size")

    def __init__(self, tsn: int, data: Data) -> None:
        self.first = self.last = tsn
        self.begin, self.end = data.begin, data.end
        self.head = data
        """Any of its fragments: they have the same stream, order and protocol."""
        self.pieces: deque[bytes] = deque((data.payload,))
        self.size = len(data.payload)

    def fits(self, other: _Run) -> bool:
        """True if `other`, right behind it, goes on with the same message."""
        mine, theirs = self.head, other.head
        return (
            not self.end
            and not other.begin
            and mine.stream == theirs.stream
            and mine.unordered == theirs.unordered
            and (mine.unordered or mine.sequence == theirs.sequence)
        )

    def extend(self, other: _Run) -> None:
        if len(other.pieces) <= len(self.pieces):
            self.pieces.extend(other.pieces)
        else:
            other.pieces.extendleft(reversed(self.pieces))
            self.pieces = other.pieces
        self.last, self.end = other.last, other.end
        self.size += other.size

    @property
    def charge(self) -> int:
        return self.size + CHARGE * len(self.pieces)


class _Order:
    """Of one stream: the number whose turn it is, and messages that came before their turn."""

    __slots__ = ("next", "waiting")

    def __init__(self) -> None:
        self.next = 0
        self.waiting: dict[int, Message] = {}


class Reassembly:
    """Everything that has come and cannot be handed over yet."""

    def __init__(self, window: int, max_message: int) -> None:
        self.buffered = 0
        """Bytes, charges included."""
        self._window = window
        self._max_message = max_message
        self._by_first: dict[int, _Run] = {}
        self._by_last: dict[int, _Run] = {}
        self._orders: dict[int, _Order] = {}

    def room(self) -> int:
        """Bytes to advertise."""
        return max(0, self._window - self.buffered)

    def admits(self, size: int, *, next_one: bool) -> bool:
        """True if a fragment of that size can be kept; `next_one` if all others wait for it."""
        limit = self._window + (self._max_message + WAITING if next_one else 0)
        room = self.buffered + size + WAITING <= limit
        return room and (next_one or len(self._by_first) < MAX_RUNS)

    def add(self, tsn: int, data: Data) -> list[Message]:
        """Take a fragment; whose turn has come comes out. Raises ProtocolError."""
        if data.begin and data.end:
            if (before := self._by_last.get(tsn - 1)) and not before.end:
                raise ProtocolError(CloseCause.PROTOCOL_VIOLATION)
            return self._complete(data, data.payload)
        run = _Run(tsn, data)
        self.buffered += run.charge
        before, after = self._by_last.get(tsn - 1), self._by_first.get(tsn + 1)
        if before is not None and not (before.end and run.begin):
            run = self._join(before, run)
        if after is not None and not (run.end and after.begin):
            run = self._join(run, after)
        if run.size > self._max_message:
            raise ProtocolError(CloseCause.MESSAGE_TOO_BIG)
        if run.begin and run.end:
            self._by_first.pop(run.first, None)
            self.buffered -= run.charge
            return self._complete(run.head, b"".join(run.pieces))
        self._by_first[run.first] = self._by_last[run.last] = run
        return []

    def _join(self, before: _Run, after: _Run) -> _Run:
        if not before.fits(after):
            raise ProtocolError(CloseCause.PROTOCOL_VIOLATION)
        self._by_last.pop(before.last, None)
        self._by_last.pop(after.last, None)
        self._by_first.pop(after.first, None)
        before.extend(after)
        return before

    def _complete(self, data: Data, payload: bytes) -> list[Message]:
        if len(payload) > self._max_message:
            raise ProtocolError(CloseCause.MESSAGE_TOO_BIG)
        message = Message(data.stream, data.protocol, payload)
        if data.unordered:
            return [message]
        order = self._orders.get(data.stream)
        if order is None:
            order = self._orders[data.stream] = _Order()
        sequence = unwrap_ssn(data.sequence, order.next)
        if sequence < order.next or sequence in order.waiting:
            return []
        if sequence > order.next:
            order.waiting[sequence] = message
            self.buffered += len(payload) + WAITING
            return []
        order.next += 1
        return [message, *self._turns(order)] if order.waiting else [message]

    def _turns(self, order: _Order) -> list[Message]:
        messages: list[Message] = []
        while (message := order.waiting.pop(order.next, None)) is not None:
            order.next += 1
            self.buffered -= len(message.payload) + WAITING
            messages.append(message)
        return messages

    def skip(self, cumulative: int, streams: tuple[tuple[int, int], ...]) -> list[Message]:
        """The peer gave up everything up to that TSN (RFC 3758, 3.6)."""
        for run in [run for run in self._by_first.values() if run.first <= cumulative]:
            del self._by_first[run.first], self._by_last[run.last]
            self.buffered -= run.charge
        messages: list[Message] = []
        for stream, wire in streams:
            if stream >= MAX_STREAMS:
                continue
            order = self._orders.setdefault(stream, _Order())
            sequence = unwrap_ssn(wire, order.next)
            if sequence < order.next:
                continue
            for turn in sorted(number for number in order.waiting if number <= sequence):
                message = order.waiting.pop(turn)
                self.buffered -= len(message.payload) + WAITING
                messages.append(message)
            order.next = sequence + 1
            messages += self._turns(order)
        return messages

    def reset(self, streams: tuple[int, ...]) -> None:
        """The peer counts these streams from 0 again; all if none is named (RFC 6525, 5.2.2)."""
        for stream in streams or tuple(self._orders):
            order = self._orders.pop(stream, None)
            if order is not None:
                self.buffered -= sum(len(m.payload) + WAITING for m in order.waiting.values())
