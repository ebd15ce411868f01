"""Signaling goes on a moment after the last session: clients still come to hang up what was drained."""

from __future__ import annotations

from typing import Final

from appliance.supervisor.core.plan import Stage
from config.ids import Instant

LINGER: Final = 1.0
"""Seconds."""


class Linger:
    """Holds the drain of signaling back."""

    def __init__(self) -> None:
        self.drained = False
        """There were sessions when the drain began."""
        self.until: Instant | None = None

    def holds(self, following: Stage, now: Instant) -> bool:
        """True while signaling should serve on although the last transceiver is gone."""
        if following is not Stage.DRAIN_SIGNALING or not self.drained:
            self.until = None
            return False
        if self.until is None:
            self.until = now + LINGER
        if now < self.until:
            return True
        self.until = None
        return False
