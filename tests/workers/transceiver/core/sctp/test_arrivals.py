"""Which TSNs have come, against a set that knows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.sctp.arrivals import DELAY, MAX_GAPS, Arrivals
from workers.wire.sctp_chunks import Sack


@given(st.lists(st.integers(10, 60)), st.lists(st.integers(10, 60), max_size=2))
def test_a_sack_tells_exactly_what_has_come(tsns: list[int], skips: list[int]) -> None:
    arrivals, come = Arrivals(10), set(range(10))
    for tsn in tsns:
        assert arrivals.has(tsn) == (tsn in come)
        if arrivals.has(tsn):
            arrivals.repeated(tsn)
        else:
            assert arrivals.admits(tsn)
            arrivals.add(tsn)
            come.add(tsn)
    for skip in skips:
        arrivals.skip(skip)
        come |= set(range(skip + 1))
    sack = arrivals.sack(0)
    told = set(range(sack.cumulative + 1))
    for first, last in sack.gaps:
        told |= set(range(sack.cumulative + first, sack.cumulative + last + 1))
    assert told == come
    assert sack.cumulative + 1 not in come


def test_the_second_packet_is_acknowledged_at_once_and_the_first_a_little_later() -> None:
    arrivals = Arrivals(0)
    arrivals.add(0)
    arrivals.packet(5.0, at_once=False)
    assert arrivals.at == 5.0 + DELAY
    arrivals.add(1)
    arrivals.packet(5.01, at_once=False)
    assert arrivals.at == 5.01
    assert arrivals.sack(7) == Sack(1, 7)
    assert not arrivals.pending


def test_a_gap_is_told_at_once() -> None:
    arrivals = Arrivals(0)
    arrivals.add(3)
    arrivals.packet(5.0, at_once=False)
    assert arrivals.at == 5.0


def test_gaps_are_counted() -> None:
    arrivals = Arrivals(0)
    for number in range(MAX_GAPS):
        arrivals.add(2 * number + 1)
    assert not arrivals.admits(2 * MAX_GAPS + 1)
    assert arrivals.admits(2)
    assert arrivals.admits(2 * MAX_GAPS)
    assert not arrivals.admits(1 << 17)
