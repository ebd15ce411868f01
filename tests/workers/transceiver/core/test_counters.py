"""The law of conservation, told from its breach."""

from __future__ import annotations

from workers.transceiver.core.counters import Counters
from workers.wire.types import DropReason


def counted(records_in: int, delivered: int = 0, controls: int = 0, dropped: int = 0) -> Counters:
    counters = Counters()
    counters.records_in = records_in
    counters.delivered = delivered
    counters.controls = controls
    counters.dropped[DropReason.EMPTY] = dropped
    return counters


def test_every_record_has_one_fate() -> None:
    assert counted(0).conserved
    assert counted(3, delivered=1, controls=1, dropped=1).conserved
    assert not counted(3).conserved
    assert not counted(1, delivered=1, dropped=1).conserved


def test_commands_are_no_records() -> None:
    counters = counted(1, delivered=1)
    counters.refused[DropReason.UNKNOWN_SESSION] += 1
    assert counters.conserved
