"""What waits for the readers of sidebands, until each has fetched it.

A reader asks for what came after the last it knows, and waits for it here: one request under way per
signaling worker and transceiver. What it has been given is kept until it asks for what is behind that, so
a reply that is lost costs nothing. Who does not ask any more is forgotten.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

import trio

from ipc.messages.sidebands import ReadSidebands, SidebandEvent, SidebandsRead
from workers.transceiver.backends.sidebands import Member

MAX_WAITING: Final = 256
"""Events of one sideband that wait,"""
MAX_BYTES: Final = 1 << 20
"""and the bytes of what they say; at what is beyond, it is cut."""
BATCH: Final = 256 * 1024
"""Bytes of a reply, one event aside: with the largest message it fits into one of rpc."""
EVENT: Final = 128
"""What each counts beside what it says."""
MAX_WAIT: Final = 5.0
GATHER: Final = 0.005
"""Seconds that the first of some events waits for others: they come in bursts."""
LAPSE: Final = 5.0
"""Seconds without a request after which a reader is gone."""


class _Waiting(NamedTuple):
    serial: int
    event: SidebandEvent
    size: int
    """Bytes of what it says."""


class _Reader:
    def __init__(self, now: float) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.counts: Counter[int] = Counter()
        """Events that wait, by sideband,"""
        self.sizes: Counter[int] = Counter()
        """and their bytes."""
        self.asking = 0
        self.asked = now
        self.added = trio.Event()

    def forget_until(self, serial: int) -> None:
        while self.waiting and self.waiting[0].serial <= serial:
            _, event, size = self.waiting.popleft()
            self.counts[event.number] -= 1
            self.sizes[event.number] -= size
            if not self.counts[event.number]:
                del self.counts[event.number], self.sizes[event.number]


class Audience:
    """All readers."""

    def __init__(self) -> None:
        self._readers: dict[str, _Reader] = {}
        self._serial = 0
        """Of all readers together, so that one who comes back meets none that it knows."""

    def admit(self, reader: str) -> None:
        """It has a sideband."""
        if reader not in self._readers:
            self._readers[reader] = _Reader(trio.current_time())

    def lapsed(self) -> list[str]:
        """Readers that have gone without a word, and are forgotten with this."""
        limit = trio.current_time() - LAPSE
        gone = [n for n, each in self._readers.items() if not each.asking and each.asked < limit]
        for name in gone:
            del self._readers[name]
        return gone

    def put(self, member: Member, event: SidebandEvent) -> bool:
        """Keep it until it is read; False if there was too much and nothing more is to come."""
        reader = self._readers.get(member.reader)
        if reader is None:
            return False
        number, fits, size = member.number, True, _size(event)
        if event.closed is None:
            full = reader.counts[number] >= MAX_WAITING
            fits = not full and reader.sizes[number] + size <= MAX_BYTES
        if not fits:
            event, size = SidebandEvent(number, cut=True), 0
        self._serial += 1
        reader.waiting.append(_Waiting(self._serial, event, size))
        reader.counts[number] += 1
        reader.sizes[number] += size
        reader.added.set()
        return fits

    async def read(self, request: ReadSidebands) -> SidebandsRead:
        """What is there for a reader, once there is something or the time is up."""
        reader = self._readers.get(request.reader)
        if reader is None:
            return SidebandsRead(request.after, lapsed=True)
        reader.asking += 1
        try:
            reader.forget_until(request.after)
            if not reader.waiting:
                reader.added = trio.Event()
                with trio.move_on_after(min(request.within, MAX_WAIT)):
                    await reader.added.wait()
                    await trio.sleep(GATHER)
        finally:
            reader.asking -= 1
            reader.asked = trio.current_time()
        serial, size = request.after, 0
        events: list[SidebandEvent] = []
        for waiting in reader.waiting:
            size += EVENT + waiting.size
            if events and size > BATCH:
                break
            serial = waiting.serial
            events.append(waiting.event)
        return SidebandsRead(serial, tuple(events))


def _size(event: SidebandEvent) -> int:
    return len(event.text.encode()) + len(event.detail.encode())
