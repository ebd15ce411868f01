"""What is known, and counted, of the end points of a back end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from config.ids import Instant
from ipc.backend.messages import MAX_NAME, Error, Hello, ToBackend
from ipc.messages.stats import EndpointStats
from workers.transceiver.media.loans import Line

MAX_CREDIT: Final = 65_536
"""However generous a back end is."""
MAX_TOLD: Final = 64
"""Mistakes in a second that an end point is told of; all are counted."""

EndpointName: TypeAlias = str
"""A ZeroMQ end point, as configured."""


@dataclass(slots=True)
class KnownEndpoint:
    """One of them, as a pool sees it."""

    name: EndpointName
    live: bool = False
    hello: Hello = field(default_factory=lambda: Hello(""))
    heard_at: Instant = 0.0
    said_at: Instant = float("-inf")
    line: Line = field(default_factory=Line)
    """It has the credit."""
    without_credit: int = 0
    before_accept: int = 0
    mistakes: Counter[str] = field(default_factory=Counter)
    """What it was told that it did wrong, by ErrorCode."""
    sessions: set[str] = field(default_factory=set)
    greeted_at: Instant = float("-inf")
    """When it last became live."""
    _second: Instant = float("-inf")
    _told: int = 0

    @property
    def has_room(self) -> bool:
        """Whether it takes one session more."""
        return self.live and (not self.hello.capacity or len(self.sessions) < self.hello.capacity)

    def grant(self, items: int) -> None:
        """It takes so many more chunks of audio."""
        self.line.credit = max(0, min(self.line.credit + items, MAX_CREDIT))

    def stop(self) -> None:
        """It is gone."""
        self._count()
        self.line.close()
        self.live, self.line = False, Line()

    def stats(self) -> EndpointStats:
        """How it stands."""
        self._count()
        return EndpointStats(
            self.live,
            len(self.sessions),
            self.hello.name[:MAX_NAME],
            self.without_credit,
            dict(self.mistakes),
            self.before_accept,
        )

    def _count(self) -> None:
        self.without_credit += self.line.take_without_credit()

    def tells(self, item: ToBackend, now: Instant) -> bool:
        """Whether that goes to it. A mistake of its own does not, if it makes one after the other."""
        if type(item) is not Error:
            return True
        self.mistakes[item.code.value] += 1
        if now - self._second >= 1.0:
            self._second, self._told = now, 0
        self._told += 1
        return self._told <= MAX_TOLD
