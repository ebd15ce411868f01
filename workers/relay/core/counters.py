"""What a relay's core has done, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from workers.wire.types import DropReason


@dataclass(slots=True)
class RelayCounters:
    """What the core has done. Law: upcalls == introduced + sum(upcalls_dropped) + those that are held."""

    upcalls: int = 0
    introduced: int = 0
    """Upcalls that went on to a transceiver, or to a relay that has it."""
    records: int = 0
    assured: int = 0
    expired: int = 0
    """Pending flows that no transceiver vouched for in time."""
    upcalls_dropped: Counter[DropReason] = field(default_factory=Counter)
    records_dropped: Counter[DropReason] = field(default_factory=Counter)

    def conserved(self, held: int = 0) -> bool:
        """Whether every upcall so far, but those that wait, has ended in exactly one way."""
        return self.upcalls == self.introduced + self.upcalls_dropped.total() + held
