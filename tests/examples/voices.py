"""Who speaks which tone in a call that is handed over, and who should hear whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PITCHES: Final = {"first": 440.0, "second": 700.0, "human": 1100.0}
"""Hertz."""
BEFORE: Final = {"first": {"second"}, "second": {"first"}}
AFTER: Final = {"first": {"human"}, "second": {"first", "human"}, "human": {"first"}}
"""Whom each should hear: the second listens on."""
CLEAR: Final = 0.2
"""Share of the sound from which somebody is heard; of two voices at once each has less than a half."""
GONE: Final = 0.05
"""Share below which he is not."""


def is_as_it_should_be(
    found: Mapping[str, Mapping[str, float]], should: Mapping[str, set[str]]
) -> bool:
    """Everybody hears whom he should, and nobody else. `found`: shares by who speaks, by who hears."""
    return found.keys() == should.keys() and all(
        share > CLEAR if who in should[name] else share < GONE
        for name, shares in found.items()
        for who, share in shares.items()
    )
