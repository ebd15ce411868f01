from __future__ import annotations

from workers.relay.core.counters import RelayCounters
from workers.wire.types import DropReason


def test_every_upcall_ends_in_one_way_or_waits() -> None:
    counters = RelayCounters(upcalls=6, introduced=3)
    counters.upcalls_dropped[DropReason.SOURCE_LIMIT] += 2
    assert counters.conserved(1)
    assert not counters.conserved()
    assert not counters.conserved(2)
