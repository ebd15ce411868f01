"""One heap for the timers of many sessions; entries that no longer hold are skipped, not searched."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

from config.ids import Instant

MIN_SLACK: Final = 64

Key = TypeVar("Key")


class Timers(Generic[Key]):
    """The next deadline of each key.

    A deadline that moves later costs nothing: the entry is found early, and put back by whoever asks
    the key for its true deadline. Only one that moves earlier is a new entry.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Key]] = []
        self._armed: dict[Key, Instant] = {}
        self._ticket = count()

    def __len__(self) -> int:
        return len(self._armed)

    def set(self, key: Key, deadline: Instant) -> None:
        """Wake this key at the deadline, or earlier if it was already to be woken then."""
        armed = self._armed.get(key)
        if armed is not None and armed <= deadline:
            return
        self._armed[key] = deadline
        heappush(self._heap, (deadline, next(self._ticket), key))
        if len(self._heap) > 2 * len(self._armed) + MIN_SLACK:
            self._heap = [entry for entry in self._heap if self._armed.get(entry[2]) == entry[0]]
            heapify(self._heap)

    def remove(self, key: Key) -> None:
        """Never wake this key."""
        self._armed.pop(key, None)

    def next(self) -> Instant | None:
        """The earliest deadline."""
        while self._heap:
            deadline, _, key = self._heap[0]
            if self._armed.get(key) == deadline:
                return deadline
            heappop(self._heap)
        return None

    def due(self, now: Instant) -> list[Key]:
        """Take out the keys whose deadline has come, each once, in order."""
        keys: list[Key] = []
        while (deadline := self.next()) is not None and deadline <= now:
            _, _, key = heappop(self._heap)
            del self._armed[key]
            keys.append(key)
        return keys
