"""The dice of the data-channel bench lose what they should, and the same each time."""

from __future__ import annotations

import pytest

from bench.datachannel import losing


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_the_dice(share: float) -> None:
    fates = [losing(share, seed=1) for _ in range(2)]
    rolls = [[fate(number % 2 == 0, b"x") for number in range(20_000)] for fate in fates]
    assert rolls[0] == rolls[1]
    assert rolls[0].count(False) / 20_000 == pytest.approx(share, rel=0.2)
