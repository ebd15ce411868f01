"""Client secrets that were for one call, and have placed it. Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

KEPT: Final = 7_200.0
"""Seconds: no secret lives longer."""
MAX_SPENT: Final = 131_072
"""More than that in KEPT: who made so many had better make more of them count."""


class Spent:
    """Remembers ids for as long as their secrets could be used once more; ledger.py asks further."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, float] = OrderedDict()

    def spend(self, secret: str, now: float) -> bool:
        """Whether it was still to be had. False, too, if there is no room to remember it."""
        while self._ids and now - next(iter(self._ids.values())) > KEPT:
            self._ids.popitem(last=False)
        if secret in self._ids or len(self._ids) >= MAX_SPENT:
            return False
        self._ids[secret] = now
        return True
