"""Asks transceivers what has happened: one request at a time each, while anybody wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import trio

from config.ids import Route
from ipc.messages.sessions import CloseReason
from workers.signaling.switchboard import Gone, Interrupted, NoAnswer, Switchboard

AGAIN: Final = 0.5
"""Seconds until a transceiver that has not answered is asked again."""


class Watch(Protocol):
    """What some want of one transceiver."""

    @property
    def route(self) -> Route:
        """The transceiver."""
        ...

    @property
    def wanted(self) -> bool:
        """Somebody waits for more."""
        ...

    @property
    def empty(self) -> bool:
        """Nobody is in it."""
        ...

    async def ask(self, after: int) -> int:
        """Ask once for what came after that number, and hand it on: the number of the last.

        Raises NoAnswer, and of it Gone and Interrupted.
        """
        ...

    def end(self, reason: CloseReason) -> None:
        """The transceiver is gone: nobody is to wait any more."""
        ...


W = TypeVar("W", bound=Watch)


class Watches(Generic[W]):
    """Follow one anywhere; `run` does the asking."""

    def __init__(self, switchboard: Switchboard, make: Callable[[Route], W]) -> None:
        self._switchboard = switchboard
        self._make = make
        self._watches: dict[Route, W] = {}
        self._followed: set[Route] = set()
        self._new: list[W] = []
        self._wanted = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask for ever."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                while self._new:
                    nursery.start_soon(self._follow, self._new.pop())
                self._wanted = trio.Event()
                await self._wanted.wait()

    def of(self, route: Route) -> W:
        """The one of that transceiver, to be followed when somebody waits."""
        watch = self._watches.get(route)
        if watch is None:
            watch = self._watches[route] = self._make(route)
        return watch

    def follow(self, watch: W) -> None:
        """Ask from now on, for as long as it is wanted."""
        if watch.route not in self._followed:
            self._followed.add(watch.route)
            self._new.append(watch)
            self._wanted.set()

    def tidy(self, watch: W) -> None:
        """Forget one in which nobody is. While it is followed no other may ask the same transceiver."""
        if watch.empty and watch.route not in self._followed:
            self._watches.pop(watch.route, None)

    async def _follow(self, watch: W) -> None:
        serial, host = 0, self._switchboard.host_of(watch.route)
        while watch.wanted:
            try:
                serial = await watch.ask(serial)
            except Gone:
                draining = self._switchboard.is_draining(host)
                watch.end(CloseReason.DRAINED if draining else CloseReason.INTERNAL_ERROR)
                break
            except Interrupted:
                continue
            except NoAnswer:
                await trio.sleep(AGAIN)
        self._followed.remove(watch.route)
        self.tidy(watch)
