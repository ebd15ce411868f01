"""What is known, and counted, of the end points of a back end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from config.ids import Instant
from ipc.backend.messages import Error, Hello, ToBackend
from workers.transceiver.media.loans import Line

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

    def tells(self, item: ToBackend, now: Instant) -> bool:
        """Whether that goes to it. A mistake of its own does not, if it makes one after the other."""
        if type(item) is not Error:
            return True
        self.mistakes[item.code.value] += 1
        if now - self._second >= 1.0:
            self._second, self._told = now, 0
        self._told += 1
        return self._told <= MAX_TOLD
