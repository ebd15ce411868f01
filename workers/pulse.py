"""What of its life signs and counters a worker says: news at once, what is as before now and then."""

from __future__ import annotations

import msgspec

from ipc.messages.lifecycle import Heartbeat
from ipc.messages.stats import WorkerStats


class Pulse:
    """What was said last. `for_all`: this is a moment at which everybody speaks."""

    def __init__(self) -> None:
        self._sign: Heartbeat | None = None
        self._stats: WorkerStats | None = None

    def is_due(self, sign: Heartbeat, *, for_all: bool) -> bool:
        """Whether to give this sign; then it is given."""
        due = for_all or sign != self._sign
        if due:
            self._sign = sign
        return due

    def is_worth(self, stats: WorkerStats, *, for_all: bool) -> bool:
        """Whether to publish these counters; then they are. What the process has used is no news."""
        before = self._stats
        same = before and msgspec.structs.replace(stats, usage=before.usage) == before
        if same and not for_all:
            return False
        self._stats = stats
        return True
