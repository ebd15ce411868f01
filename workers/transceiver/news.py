"""What has lately happened to sessions, for signaling workers that tell it their clients.

A watcher asks for what came after the last it knows, and waits for it here: one request under way per
signaling worker, however many sessions and clients there are.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from ipc.messages.sessions import SessionNews, SessionsNews, WatchSessions

MEMORY: Final = 1024
"""News that are remembered: a watcher asks again within milliseconds."""
MAX_WAIT: Final = 20.0
GATHER: Final = 0.01
"""Seconds that the first of some news waits for others: they come in bursts."""


class News:
    """Numbered from 1 in the order in which they came."""

    def __init__(self) -> None:
        self._serial = 0
        self._recent: deque[SessionNews] = deque(maxlen=MEMORY)
        self._added = trio.Event()

    def add(self, news: SessionNews) -> None:
        """Remember it and wake those who wait."""
        self._serial += 1
        self._recent.append(news)
        if self._added.statistics().tasks_waiting:
            self._added.set()
            self._added = trio.Event()

    async def watch(self, request: WatchSessions) -> SessionsNews:
        """What came after that number, once there is something or the time is up."""
        with trio.move_on_after(min(request.within, MAX_WAIT)):
            if self._serial <= request.after:
                await self._added.wait()
                await trio.sleep(GATHER)
        missing = min(max(0, self._serial - request.after), len(self._recent))
        first = len(self._recent) - missing
        return SessionsNews(self._serial, tuple(list(self._recent)[first:]))
