"""Retransmission time-outs."""

from __future__ import annotations

from workers.transceiver.core.sctp.rto import INITIAL, MAX, MIN, Retry, Rto


def test_it_follows_the_round_trip_between_its_bounds() -> None:
    rto = Rto()
    assert rto.value == INITIAL
    rto.measure(0.3)
    assert rto.value == 0.3 + 4 * 0.15
    for _ in range(100):
        rto.measure(0.001)
    assert rto.value == MIN
    for _ in range(10):
        rto.back_off()
    assert rto.value == MAX
    rto.measure(0.001)
    assert rto.value == MIN


def test_a_retry_backs_off() -> None:
    retry = Retry()
    assert not retry.due(9.0)
    retry.start(10.0, 0.5)
    assert not retry.due(10.4)
    assert retry.due(10.5)
    retry.again(10.5)
    assert retry.at == 11.5
    retry.stop()
    assert not retry.due(99.0)
