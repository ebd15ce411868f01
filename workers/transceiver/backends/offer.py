"""A session as a pool sees it: whose it is, and how long it waits for somebody to take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from config.ids import Instant
from ipc.backend.messages import SessionStarted
from workers.transceiver.backends.endpoints import EndpointName, KnownEndpoint

ANSWER_WITHIN: Final = 1.0
"""Seconds a back end may take to accept."""
PATIENCE: Final = 2.0
"""Seconds a new session waits for a back end that takes it."""
HOLD: Final = 10.0
"""Seconds one waits that somebody had: as long as a back end may take to start again."""


@dataclass(slots=True)
class Offer:
    """One session, offered to one end point after the other until one accepts it."""

    started: SessionStarted
    waits_since: Instant
    """For somebody to accept it."""
    at: KnownEndpoint | None = None
    accepted: bool = False
    due: Instant = 0.0
    """When whoever it is offered to should have answered."""
    unheard: int = 0
    """Chunks of audio since nobody has it."""
    refused_by: set[EndpointName] = field(default_factory=set)
    why: str = "no back end is there"

    @property
    def until(self) -> Instant:
        """When it is given up if nobody has taken it."""
        return self.waits_since + (HOLD if self.started.resumed else PATIENCE)

    def free(self, why: str, now: Instant) -> None:
        """Nobody has it any more; if somebody had accepted it, its time begins anew."""
        if self.accepted:
            self.started = msgspec.structs.replace(self.started, resumed=True)
            self.waits_since = now
        self.at, self.accepted, self.why = None, False, why
