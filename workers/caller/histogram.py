"""Percentiles of any number of durations in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

_GROWTH: Final = 1.01
_SCALE: Final = 1 / math.log(_GROWTH)
_FLOOR: Final = 1e-6


class Histogram:
    """Counts durations in buckets 1 % wide, from 1 us up; minimum and maximum are exact."""

    __slots__ = ("_buckets", "count", "maximum", "minimum")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.minimum = math.inf
        self.maximum = 0.0

    @classmethod
    def of(cls, counts: Iterable[int], minimum: float, maximum: float) -> Histogram:
        """What somebody else has counted in the same buckets."""
        made = cls()
        made._buckets.update({bucket: count for bucket, count in enumerate(counts) if count})
        made.count = made._buckets.total()
        if made.count:
            made.minimum, made.maximum = minimum, maximum
        return made

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (a clock that stepped) counts as the least."""
        seconds = max(seconds, _FLOOR)
        self._buckets[int(math.log(seconds / _FLOOR) * _SCALE)] += 1
        self.count += 1
        self.minimum = min(self.minimum, seconds)
        self.maximum = max(self.maximum, seconds)

    def merge(self, other: Histogram) -> None:
        """Count what the other has counted."""
        self._buckets.update(other._buckets)
        self.count += other.count
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def percentile(self, percent: float) -> float | None:
        """Least duration that this many percent do not exceed, within 1 %; None if there is none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                middle: float = _FLOOR * _GROWTH ** (bucket + 0.5)
                return min(max(middle, self.minimum), self.maximum)
        return self.maximum
