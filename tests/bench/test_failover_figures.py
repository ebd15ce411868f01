from __future__ import annotations

import pytest

from bench.failover_figures import gap, lost, percentile


def test_silence_counts_from_the_moment_on() -> None:
    assert gap([0.0, 1.0, 4.0, 4.1], 3.0, 4.2) == pytest.approx(1.0)
    assert gap([0.0, 1.0], 3.0, 5.0) == pytest.approx(2.0)
    assert gap([3.1, 3.2, 4.9], 3.0, 5.0) == pytest.approx(1.7)


def test_who_is_silent_at_the_end_is_lost() -> None:
    assert lost([[1.0, 9.5], [1.0, 8.9], []], 10.0) == 2


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
