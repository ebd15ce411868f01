"""How long a drain of the whole appliance may still take, and what it waits for beside its workers.

Signaling goes on a moment after the last session: clients still come to hang up what was drained.
"""

from __future__ import annotations

from typing import Final

from appliance.supervisor.core.plan import Stage
from config.ids import Instant

LINGER: Final = 1.0
"""Seconds."""


class Linger:
    """The time that is left; holds the drain of signaling back."""

    def __init__(self) -> None:
        self.drained = False
        """There were sessions when the drain began."""
        self.until: Instant | None = None
        self._over: Instant | None = None

    def begin(self, over: Instant) -> None:
        """The drain begins, and all shall have been said by then."""
        self._over = over

    def left(self, now: Instant) -> float:
        """Seconds until then; none if nobody drains the appliance."""
        return 0.0 if self._over is None else max(0.0, self._over - now)

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
