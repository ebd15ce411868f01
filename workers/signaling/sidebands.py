"""What is said in calls, fetched for the WebSockets beside them: one request for each transceiver."""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from config.ids import Route, SessionId
from ipc.messages.sessions import CloseReason
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandEvent,
    TellSession,
)
from workers.http.problems import ProblemKind, Refused
from workers.signaling.switchboard import Switchboard
from workers.signaling.watches import Watches

MAX_WAITING: Final = 256
"""Events that wait for one socket,"""
MAX_BYTES: Final = 1 << 20
"""and their characters; at what is beyond, it is cut."""
AT_ONCE: Final = 64
"""Events that are on their way to one transceiver; other requests must find room beside them."""
GOODBYE: Final = 2.0
"""Seconds in which a transceiver is to hear that a socket has gone."""


class Sideband:
    """One socket's view of its call; one task may read it."""

    def __init__(
        self, switchboard: Switchboard, asks: OpenSideband, turns: trio.CapacityLimiter
    ) -> None:
        """`turns`: shared with all sidebands of calls of the same transceiver."""
        self.number: Final = asks.number
        self.opened = False
        """The transceiver knows it. What comes before we know that is kept, too."""
        self.over = False
        """Nothing more will come."""
        self.gone = False
        """The transceiver has no such sideband."""
        self._switchboard = switchboard
        self._asks = asks
        self._turns = turns
        self._said = 0
        self._waiting: deque[SidebandEvent] = deque()
        self._size = 0
        self._added = trio.Event()

    async def next(self) -> SidebandEvent:
        """The next event, or the end: nothing follows `closed` and `cut`."""
        while not self._waiting:
            self._added = trio.Event()
            await self._added.wait()
        event = self._waiting.popleft()
        self._size -= len(event.text)
        return event

    async def say(self, text: str) -> None:
        """Have the back end hear an event. Raises Refused (UNKNOWN_SESSION, NO_ANSWER, TOO_LARGE)."""
        self._said += 1
        session, reader, number = self._asks.session, self._asks.reader, self.number
        async with self._turns:
            await self._switchboard.aside(TellSession(session, reader, number, self._said, text))

    def put(self, event: SidebandEvent) -> bool:
        """Keep it until it is read. False: it was too much, and ends the sideband instead."""
        if self.over:
            return True
        if event.closed is None and not self._fits(event):
            self._waiting.clear()
            self._size = 0
            event = SidebandEvent(self.number, cut=True)
        self.over = event.closed is not None or event.cut
        self._waiting.append(event)
        self._size += len(event.text)
        self._added.set()
        return not event.cut

    def _fits(self, event: SidebandEvent) -> bool:
        return len(self._waiting) < MAX_WAITING and self._size + len(event.text) <= MAX_BYTES


class Sidebands:
    """Open them anywhere; `run` does the reading."""

    def __init__(self, switchboard: Switchboard, most: int = 1024) -> None:
        """`most`: at a time."""
        self.counters: Counter[str] = Counter()
        """`opened`, `refused`, `cut`."""
        self._switchboard = switchboard
        self._most = most
        self._open = 0
        self._reader: Final = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._watches = Watches(switchboard, self._make_watch)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read for ever."""
        await self._watches.run(task_status)

    @asynccontextmanager
    async def open(self, session: str, key: str) -> AsyncIterator[Sideband]:
        """A sideband of a call that was placed with that key, until the block ends. Raises Refused."""
        if self._open >= self._most:
            self.counters["refused"] += 1
            raise Refused(ProblemKind.BUSY, f"{self._most} sidebands, and there are as many")
        self._open += 1
        try:
            async with self._opened(session, key) as sideband:
                yield sideband
        finally:
            self._open -= 1

    @asynccontextmanager
    async def _opened(self, session: str, key: str) -> AsyncIterator[Sideband]:
        owner = self._switchboard.owner(session)
        if owner is None:
            self.counters["refused"] += 1
            raise Refused(ProblemKind.UNKNOWN_SESSION, "the session is over, or never was")
        watch = self._watches.of(owner.route)
        asks = OpenSideband(SessionId(session), self._reader, next(self._numbers), key)
        sideband = watch.members[asks.number] = Sideband(self._switchboard, asks, watch.turns)
        try:
            await self._ask(sideband, asks)
            self._watches.follow(watch)
            yield sideband
        finally:
            del watch.members[asks.number]
            self._watches.tidy(watch)
            # Also if there was no answer: it may have been opened.
            if not sideband.gone:
                await self._close(asks)

    async def _ask(self, sideband: Sideband, asks: OpenSideband) -> None:
        try:
            await self._switchboard.aside(asks)
        except Refused as refused:
            self.counters["refused"] += 1
            sideband.gone = refused.kind is not ProblemKind.NO_ANSWER
            raise
        self.counters["opened"] += 1
        sideband.opened = True

    async def _close(self, asks: OpenSideband) -> None:
        """A transceiver that does not hear of it drops what nobody fetches."""
        with trio.CancelScope(shield=True), trio.move_on_after(GOODBYE), suppress(Refused):
            await self._switchboard.aside(CloseSideband(asks.session, asks.reader, asks.number))

    def _make_watch(self, route: Route) -> _Watch:
        return _Watch(self._switchboard, self._reader, self.counters, route)


class _Watch:
    """Sidebands of one transceiver's calls, by number."""

    def __init__(
        self, switchboard: Switchboard, reader: str, counters: Counter[str], route: Route
    ) -> None:
        self.route: Final = route
        self.members: dict[int, Sideband] = {}
        self.turns = trio.CapacityLimiter(AT_ONCE)
        self._switchboard = switchboard
        self._reader = reader
        self._counters = counters

    @property
    def wanted(self) -> bool:
        return any(each.opened and not each.over for each in self.members.values())

    @property
    def empty(self) -> bool:
        return not self.members

    async def ask(self, after: int) -> int:
        known = self._opened
        reply = await self._switchboard.read(self.route, ReadSidebands(self._reader, after))
        if reply.lapsed:
            self._close(known, CloseReason.INTERNAL_ERROR, "not read for too long")
            return after
        for event in reply.events:
            self._tell(event)
        return reply.serial

    def end(self, reason: CloseReason) -> None:
        self._close(self._opened, reason, "its transceiver is gone")

    @property
    def _opened(self) -> tuple[int, ...]:
        """Those that the transceiver must know."""
        return tuple(number for number, each in self.members.items() if each.opened)

    def _close(self, known: Collection[int], reason: CloseReason, detail: str) -> None:
        for number in known:
            self._tell(SidebandEvent(number, closed=reason, detail=detail))

    def _tell(self, event: SidebandEvent) -> None:
        sideband = self.members.get(event.number)
        if sideband is None:  # it has just gone
            return
        sideband.gone |= event.closed is not None or event.cut
        if not sideband.put(event):
            self._counters["cut"] += 1
