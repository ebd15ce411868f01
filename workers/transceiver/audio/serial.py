"""Counters that wrap, made ones that do not (RFC 3550, A.1)."""

from __future__ import annotations


class Unwrapper:
    """Turns the wrapping numbers of a stream into ones that grow on and on.

    Each is taken to be the nearest to the highest so far, so one may come late by up to half a turn.
    """

    __slots__ = ("_half", "_mask", "highest")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << bits - 1
        self.highest = -1
        """Of all so far; -1 before the first."""

    def peek(self, number: int) -> int:
        """What `extend` would say, without remembering it."""
        if self.highest < 0:
            # A turn ahead, so that what was overtaken on the way here is not negative.
            return number + self._mask + 1
        step = (number - self.highest) & self._mask
        return self.highest + (step if step < self._half else step - self._mask - 1)

    def extend(self, number: int) -> int:
        """The unwrapped number."""
        step = (number - self.highest) & self._mask
        if self.highest < 0 or step >= self._half:
            extended = self.peek(number)
            self.highest = max(self.highest, extended)
            return extended
        self.highest += step
        return self.highest
