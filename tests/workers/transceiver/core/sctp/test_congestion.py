"""The window grows and shrinks."""

from __future__ import annotations

from workers.transceiver.core.sctp.congestion import INITIAL_PACKETS, MIN_PACKETS, Congestion
from workers.transceiver.core.sctp.interface import IN_FLIGHT

MTU = 1000


def test_slow_start_then_avoidance() -> None:
    congestion = Congestion(MTU)
    assert congestion.window == INITIAL_PACKETS * MTU
    congestion.acknowledged(2 * MTU, congestion.window, 5)
    assert congestion.window == (INITIAL_PACKETS + 1) * MTU
    congestion.lost(50)
    half = congestion.window
    assert half == (INITIAL_PACKETS + 1) * MTU // 2
    congestion.acknowledged(MTU, half, 49)
    assert (congestion.window, congestion.recovering) == (half, True)
    congestion.acknowledged(MTU, half, 50)
    assert not congestion.recovering
    before = congestion.window
    congestion.acknowledged(before // 2, before, 51)
    assert congestion.window <= before + MTU


def test_one_loss_at_a_time_and_a_time_out_begins_anew() -> None:
    congestion = Congestion(MTU)
    congestion.lost(50)
    window = congestion.window
    congestion.lost(60)
    assert congestion.window == window
    congestion.expired()
    assert congestion.window == MTU
    assert congestion.ssthresh == max(window // 2, MIN_PACKETS * MTU)


def test_no_window_is_larger_than_the_queues_on_the_way() -> None:
    congestion = Congestion(MTU)
    for round_trip in range(1000):
        congestion.acknowledged(MTU, congestion.window, round_trip)
    assert congestion.window == IN_FLIGHT
    congestion.lost(1000)
    congestion.acknowledged(MTU, congestion.window, 1000)
    for round_trip in range(1001, 2000):
        congestion.acknowledged(congestion.window, congestion.window, round_trip)
    assert congestion.window == IN_FLIGHT


def test_a_window_that_is_not_used_does_not_grow() -> None:
    congestion = Congestion(MTU)
    congestion.acknowledged(MTU, MTU, 5)
    assert congestion.window == INITIAL_PACKETS * MTU
    congestion.idle()
    assert congestion.window == INITIAL_PACKETS * MTU // 2
