"""Messages that have not left yet: streams take turns, a message leaves without another in between."""

from __future__ import annotations

from collections import deque
from typing import Final

from config.ids import Instant
from workers.transceiver.core.sctp.serial import SSN_MASK

CHARGE: Final = 256
"""Bytes that a message costs beside its payload."""


class Outgoing:
    """One message on its way: how much has left, and how long it is worth sending."""

    __slots__ = (
        "abandoned", "expires_at", "first_tsn", "last_tsn", "max_retransmits", "offset", "payload",
        "protocol", "sequence", "stream", "unordered",
    )  # fmt: skip

    def __init__(
        self,
        stream: int,
        protocol: int,
        payload: bytes,
        *,
        unordered: bool = False,
        max_retransmits: int | None = None,
        expires_at: Instant | None = None,
    ) -> None:
        self.stream = stream
        self.protocol = protocol
        self.payload = payload
        self.unordered = unordered
        self.max_retransmits = max_retransmits
        self.expires_at = expires_at
        self.sequence = 0
        self.offset = 0
        self.first_tsn = self.last_tsn = -1
        self.abandoned = False

    def worthless(self, now: Instant, sent: int) -> bool:
        """True if a fragment that was sent so many times need not be sent again."""
        if self.max_retransmits is not None and sent > self.max_retransmits:
            return True
        return self.expires_at is not None and now >= self.expires_at


class Outbox:
    """What waits to be sent, stream by stream."""

    def __init__(self) -> None:
        self.queued = 0
        """Bytes that have not left, charges included."""
        self._waiting: dict[int, deque[Outgoing]] = {}
        self._turns: deque[int] = deque()
        self._current: Outgoing | None = None
        self._sequences: dict[int, int] = {}

    def push(self, message: Outgoing) -> None:
        """Behind all others of its stream."""
        waiting = self._waiting.get(message.stream)
        if waiting is None:
            waiting = self._waiting[message.stream] = deque()
            self._turns.append(message.stream)
        waiting.append(message)
        self.queued += len(message.payload) + CHARGE

    def has(self, stream: int) -> bool:
        """Something of this stream has not left."""
        current = self._current
        return stream in self._waiting or (current is not None and current.stream == stream)

    def head(self, now: Instant) -> Outgoing | None:
        """The message whose next fragment is to leave; what has expired is left out."""
        current = self._current
        if current is not None:
            if not current.abandoned:
                return current
            self._finish(current)
        while self._turns:
            stream = self._turns.popleft()
            waiting = self._waiting[stream]
            message = waiting.popleft()
            if waiting:
                self._turns.append(stream)
            else:
                del self._waiting[stream]
            if message.expires_at is not None and now >= message.expires_at:
                self.queued -= len(message.payload) + CHARGE
                continue
            if not message.unordered:
                message.sequence = self._sequences.get(stream, 0)
                self._sequences[stream] = message.sequence + 1 & SSN_MASK
            self._current = message
            return message
        return None

    def take(self, message: Outgoing, size: int) -> bytes:
        """The next bytes of the head."""
        payload = message.payload[message.offset : message.offset + size]
        message.offset += len(payload)
        self.queued -= len(payload)
        if message.offset == len(message.payload):
            self._current = None
            self.queued -= CHARGE
        return payload

    def reset(self, stream: int) -> None:
        """The stream counts from 0 again."""
        self._sequences.pop(stream, None)

    def discard(self, stream: int) -> None:
        """Forget what waits on a stream that nobody reads any longer."""
        waiting = self._waiting.pop(stream, None)
        if waiting is not None:
            self._turns.remove(stream)
            self.queued -= sum(len(message.payload) + CHARGE for message in waiting)

    def _finish(self, message: Outgoing) -> None:
        self.queued -= len(message.payload) - message.offset + CHARGE
        self._current = None
