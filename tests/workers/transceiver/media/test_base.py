"""The laws of what a plane counts."""

from __future__ import annotations

from collections import Counter

import pytest

from workers.transceiver.media.base import PlaneCounters
from workers.wire.types import DropReason

HELD = PlaneCounters(
    records=10, raised=1, frames=6, reports=2, dropped=Counter({DropReason.MALFORMED_RTP: 1}),
    handed_up=3, forwarded=2, undelivered=Counter({DropReason.UNKNOWN_FLOW: 1}),
)  # fmt: skip


def test_they_hold() -> None:
    assert PlaneCounters().conserved()
    assert HELD.conserved()


@pytest.mark.parametrize(
    "field", ["records", "raised", "frames", "reports", "handed_up", "forwarded"]
)
def test_none_may_be_one_off(field: str) -> None:
    before = getattr(HELD, field)
    setattr(HELD, field, before + 1)
    try:
        assert not HELD.conserved()
    finally:
        setattr(HELD, field, before)
