"""How many lines of one kind are logged in a while: a flood of the same line shall fill no disk."""

from __future__ import annotations

from collections import Counter
from typing import Final

WINDOW: Final = 5.0
"""Seconds."""
BURST: Final = 20
"""Lines of one kind in a window."""
SESSION_BURST: Final = 250
"""Those that tell of a session in passing (its begin, its end): 50 of them a second."""
KINDS: Final = 1024
"""Kinds that are counted; any more share one account."""
_OTHERS: Final = "others"


class RateLimit:
    """Lines by their kind: the words of the event, and whom it is about."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._owing: set[str] = set()
        self._due: Counter[str] = Counter()

    def admit(self, kind: str, burst: int, now: float) -> dict[str, int] | None:
        """None if a line is to be left out; if not, how many were in windows that are over, by kind.

        Those are said once, with this line. `now` is any clock in seconds that never goes back.
        """
        if kind not in self._accounts and len(self._accounts) >= KINDS:
            kind = _OTHERS
        account = self._accounts.setdefault(kind, _Account(now))
        if now - account.since >= WINDOW:
            self._close(kind)
            account.since, account.logged = now, 0
        if account.logged >= burst:
            account.left_out += 1
            self._owing.add(kind)
            return None
        account.logged += 1
        for other in sorted(self._owing):
            if now - self._accounts[other].since >= WINDOW:
                self._close(other)
        due, self._due = self._due, Counter()
        return due

    def _close(self, kind: str) -> None:
        account = self._accounts[kind]
        if account.left_out:
            self._due[kind] += account.left_out
            account.left_out = 0
            self._owing.discard(kind)


class _Account:
    __slots__ = ("left_out", "logged", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.logged = 0
        self.left_out = 0
