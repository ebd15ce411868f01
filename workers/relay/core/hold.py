"""Datagrams of strangers that wait for the flow cache to say where they belong.

Media of an unknown source is nearly always noise, or late. But when a relay's address comes to another
host, it is a call that goes on, and waiting for its client's next check costs seconds. So the first few
datagrams of such a source are kept while the cache is asked. Everything is bounded: datagrams of a source,
sources, bytes, time, questions a second from one address and in all.
"""

from __future__ import annotations

from typing import Final

from config.ids import Endpoint, FlowKey, Instant
from workers.relay.core.interface import Upcall
from workers.relay.core.limits import WindowLimit, source_of
from workers.wire.types import DropReason

PER_FLOW: Final = 16
"""Datagrams: a third of a second of audio."""
MOST_FLOWS: Final = 4096
MOST_BYTES: Final = 4 << 20
PATIENCE: Final = 1.2
"""Seconds: what a Redis on another continent may take. The client's next check mostly takes longer."""
QUESTIONS: Final = 4096
"""A second: when the clients of a dead relay come all at once, they are a matter of a second or two."""
QUESTIONS_PER_SOURCE: Final = 1024


class _Held:
    __slots__ = ("datagrams", "until")

    def __init__(self, first: Upcall, until: Instant) -> None:
        self.datagrams = [first]
        self.until = until


class Hold:
    """What waits, by flow key, oldest first."""

    def __init__(self) -> None:
        self._held: dict[FlowKey, _Held] = {}
        self._bytes = 0
        self._questions: WindowLimit[None] = WindowLimit(QUESTIONS)
        self._asking: WindowLimit[str | bytes] = WindowLimit(QUESTIONS_PER_SOURCE)
        self.datagrams = 0
        """That wait now."""

    def take(self, event: Upcall, source: Endpoint, now: Instant) -> DropReason | bool:
        """Keep it. True if the cache is to be asked about its flow; or why it is not kept."""
        held = self._held.get(event.key)
        size = len(event.datagram)
        if self._bytes + size > MOST_BYTES:
            return DropReason.HOLD_FULL
        if held is not None:
            if len(held.datagrams) >= PER_FLOW:
                return DropReason.HOLD_FULL
            held.datagrams.append(event)
        else:
            if len(self._held) >= MOST_FLOWS:
                return DropReason.HOLD_FULL
            if not self._asking.admit(source_of(source.host), now):
                return DropReason.SOURCE_LIMIT
            if not self._questions.admit(None, now):
                return DropReason.LOOKUP_LIMIT
            self._held[event.key] = _Held(event, now + PATIENCE)
        self._bytes += size
        self.datagrams += 1
        return held is None

    def release(self, key: FlowKey) -> list[Upcall]:
        """All that waits of that flow; it waits no longer."""
        held = self._held.pop(key, None)
        if held is None:
            return []
        self.datagrams -= len(held.datagrams)
        self._bytes -= sum(len(event.datagram) for event in held.datagrams)
        return held.datagrams

    def next_timeout(self) -> Instant | None:
        """When to call `overdue`."""
        return next((held.until for held in self._held.values()), None)

    def overdue(self, now: Instant) -> list[Upcall]:
        """What has waited too long; it waits no longer."""
        late = []
        for key, held in list(self._held.items()):
            if held.until > now:
                break
            late += self.release(key)
        return late
