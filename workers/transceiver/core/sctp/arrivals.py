"""Which TSNs have come, and when the peer is to hear of it (RFC 9260, 6.2)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from config.ids import Instant
from workers.transceiver.core.sctp.serial import TSN_MASK
from workers.wire.sctp_chunks import Sack

DELAY: Final = 0.05
"""Seconds that a SACK waits for a second packet, or for data to travel with (at most 0.5)."""
MAX_GAPS: Final = 200
"""Ranges above the cumulative TSN. What would make one more counts as lost."""
MAX_DUPLICATES: Final = 16
MAX_AHEAD: Final = 1 << 16
"""A gap is told as a 16-bit offset."""


class Arrivals:
    """All TSNs up to `cumulative`, and ranges above it."""

    __slots__ = ("_duplicates", "_packets", "_ranges", "at", "cumulative")

    def __init__(self, initial: int) -> None:
        self.cumulative = initial - 1
        self.at: Instant | None = None
        """When a SACK must leave."""
        self._ranges: list[list[int]] = []
        self._duplicates: list[int] = []
        self._packets = 0

    @property
    def pending(self) -> bool:
        """There is something to acknowledge: let a SACK travel with the next packet."""
        return self.at is not None

    def has(self, tsn: int) -> bool:
        """True if it has come before."""
        if tsn <= self.cumulative:
            return True
        index = bisect_left(self._ranges, tsn, key=lambda r: r[1])
        return index < len(self._ranges) and self._ranges[index][0] <= tsn

    def admits(self, tsn: int) -> bool:
        """False if there would be too many gaps."""
        if tsn <= self.cumulative + 1:
            return True
        if tsn - self.cumulative >= MAX_AHEAD:
            return False
        if len(self._ranges) < MAX_GAPS:
            return True
        index = bisect_left(self._ranges, tsn - 1, key=lambda r: r[1])
        return index < len(self._ranges) and self._ranges[index][0] <= tsn + 1

    def add(self, tsn: int) -> None:
        """It has come, for the first time."""
        if tsn == self.cumulative + 1:
            self.cumulative = tsn
            self._absorb()
            return
        index = bisect_left(self._ranges, tsn - 1, key=lambda r: r[1])
        ranges = self._ranges
        if index == len(ranges) or ranges[index][0] > tsn + 1:
            ranges.insert(index, [tsn, tsn])
        elif ranges[index][0] == tsn + 1:
            ranges[index][0] = tsn
        else:
            ranges[index][1] = tsn
            if index + 1 < len(ranges) and ranges[index + 1][0] == tsn + 1:
                ranges[index][1] = ranges.pop(index + 1)[1]

    def skip(self, cumulative: int) -> None:
        """Nothing up to there will come any more."""
        self.cumulative = max(self.cumulative, cumulative)
        self._absorb()

    def repeated(self, tsn: int) -> None:
        """It has come again."""
        if len(self._duplicates) < MAX_DUPLICATES:
            self._duplicates.append(tsn)

    def packet(self, now: Instant, *, at_once: bool) -> None:
        """The packet that brought them has been read to its end."""
        self._packets += 1
        if at_once or self._ranges or self._duplicates or self._packets >= 2:
            self.at = now
        elif self.at is None:
            self.at = now + DELAY

    def sack(self, a_rwnd: int) -> Sack:
        """The acknowledgement, which is hereby no longer due."""
        self.at, self._packets = None, 0
        base = self.cumulative
        gaps = tuple((r[0] - base, r[1] - base) for r in self._ranges if r[1] - base < MAX_AHEAD)
        duplicates = tuple(tsn & TSN_MASK for tsn in self._duplicates)
        self._duplicates.clear()
        return Sack(base & TSN_MASK, a_rwnd, gaps, duplicates)

    def _absorb(self) -> None:
        done = 0
        for first, last in self._ranges:
            if first > self.cumulative + 1:
                break
            self.cumulative = max(self.cumulative, last)
            done += 1
        if done:
            del self._ranges[:done]
