from __future__ import annotations

import pytest

from workers.caller.echoes import FORGET_AFTER, Echoes


def test_all_back() -> None:
    echoes = Echoes()
    for index in range(10):
        echoes.went(index, index * 0.02)
        echoes.came(index, index * 0.02, index * 0.02 + 0.005)
    assert (echoes.sent, echoes.received, echoes.lost, echoes.outstanding) == (10, 10, 0, 0)
    assert echoes.round_trips.percentile(50) == pytest.approx(0.005, rel=0.01)
    assert echoes.jitter == pytest.approx(0)


def test_lost_duplicated_reordered_and_foreign_are_told_apart() -> None:
    echoes = Echoes()
    for index in range(4):
        echoes.went(index, 0.0)
    for index in (0, 2, 2, 1):
        echoes.came(index, 0.0, 0.01)
    echoes.came(None, 0.0, 0.01)
    echoes.came(99, 0.0, 0.01)
    assert (echoes.received, echoes.lost, echoes.duplicates) == (3, 1, 1)
    assert (echoes.reordered, echoes.foreign, echoes.outstanding) == (1, 2, 1)


def test_jitter_follows_rfc_3550() -> None:
    echoes = Echoes()
    for index, arrival in enumerate((0.010, 0.046, 0.050)):
        echoes.went(index, index * 0.02)
        echoes.came(index, index * 0.02, arrival)
    assert echoes.jitter == pytest.approx((0.016 / 16) + (0.016 - 0.016 / 16) / 16)


def test_a_call_without_echo_does_not_grow() -> None:
    echoes = Echoes()
    for index in range(3 * FORGET_AFTER):
        echoes.went(index, 0.0)
    assert echoes.outstanding == FORGET_AFTER
    assert echoes.lost == 3 * FORGET_AFTER
