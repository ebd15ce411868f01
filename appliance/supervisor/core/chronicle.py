"""The last events, numbered: who asks for what is after a number learns also how many are gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from ipc.messages.events import OpsEvent, WatchEvents

KEPT: Final = 8192
"""Events, a few megabytes; the oldest goes first."""
MOST: Final = 1000
"""Events of one reply: what fits into a message."""
_MAX_TEXT: Final = 400


class Excerpt(NamedTuple):
    """What there is for somebody."""

    serial: int
    """What was looked at up to."""
    events: tuple[OpsEvent, ...]
    lost: int


class Chronicle:
    """Bounded; an event costs its place and nothing else."""

    def __init__(self, kept: int = KEPT) -> None:
        self._events: deque[OpsEvent] = deque(maxlen=kept)
        self._serial = 0

    @property
    def serial(self) -> int:
        """Of the newest event; 0 before any."""
        return self._serial

    def add(self, event: OpsEvent) -> None:
        """It happened; its number is given here."""
        self._serial += 1
        detail = event.detail[:_MAX_TEXT]
        self._events.append(msgspec.structs.replace(event, serial=self._serial, detail=detail))

    def read(self, request: WatchEvents) -> Excerpt:
        """The newest, or the next after a number."""
        limit = max(0, min(request.limit, MOST))
        if request.after is None:
            newest = list(islice(_matching(reversed(self._events), request), limit))
            return Excerpt(self._serial, tuple(reversed(newest)), 0)
        oldest = self._serial - len(self._events) + 1
        after = request.after if 0 <= request.after <= self._serial else 0
        lost = max(0, oldest - after - 1)
        new = islice(self._events, max(0, after + 1 - oldest), None)
        found = tuple(islice(_matching(new, request), limit))
        serial = found[-1].serial if len(found) == limit and found else self._serial
        return Excerpt(serial, found, lost)


def _matching(events: Iterator[OpsEvent], request: WatchEvents) -> Iterator[OpsEvent]:
    return (
        event
        for event in events
        if request.session in ("", event.session) and request.worker in ("", event.worker)
    )
