"""What is known, and counted, of the end points of a back end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from config.ids import Instant
from ipc.backend.messages import Hello
from workers.transceiver.media.loans import Line

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
    mistakes: Counter[str] = field(default_factory=Counter)
    """What it was told that it did wrong, by ErrorCode."""
    sessions: set[str] = field(default_factory=set)

    @property
    def has_room(self) -> bool:
        """Whether it takes one session more."""
        return self.live and (not self.hello.capacity or len(self.sessions) < self.hello.capacity)
