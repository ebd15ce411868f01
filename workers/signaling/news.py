"""What happens to sessions, told to the clients that have a WebSocket: one watch for each transceiver."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Final

import trio

from config.ids import Route, SessionId
from ipc.messages.sessions import CloseReason, SessionNews, WatchSessions
from workers.signaling.switchboard import Gone, Interrupted, NoAnswer, Switchboard

WATCH: Final = 10.0
"""Seconds that a transceiver may keep a request until there are news."""
AGAIN: Final = 1.0
"""Seconds until a transceiver that has not answered is asked again."""
_REMEMBERED: Final = 256
_BACKLOG: Final = 4
"""News of one session: it connects and closes, each once."""


class Subscription:
    """News of one session, also of before it was subscribed to, to be read by one task."""

    def __init__(self, watch: _Watch, session: str) -> None:
        self._send, self._receive = trio.open_memory_channel[SessionNews](_BACKLOG)
        self._watch = watch
        self._session = session

    async def next(self) -> SessionNews:
        """The next."""
        return await self._receive.receive()

    def tell(self, news: SessionNews) -> None:
        """Put it where `next` finds it; what does not fit is of a transceiver that has gone mad."""
        with suppress(trio.WouldBlock):
            self._send.send_nowait(news)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Want no more."""
        self._watch.leave(self._session, self)


class News:
    """Subscribe anywhere; `run` does the asking."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._watches: dict[Route, _Watch] = {}
        self._wanted = trio.Event()
        self._new: list[_Watch] = []

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask for ever."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                while self._new:
                    nursery.start_soon(self._ask, self._new.pop())
                self._wanted = trio.Event()
                await self._wanted.wait()

    def subscribe(self, route: Route, session: str) -> Subscription:
        """News of a session of that transceiver, from now until the `with` ends."""
        watch = self._watches.get(route)
        if watch is None:
            watch = self._watches[route] = _Watch(route)
            self._new.append(watch)
            self._wanted.set()
        return watch.join(session)

    async def _ask(self, watch: _Watch) -> None:
        """While anybody wants to know."""
        serial, host = 0, self._switchboard.host_of(watch.route)
        while watch.wanted:
            try:
                reply = await self._switchboard.watch(watch.route, WatchSessions(serial, WATCH))
            except Gone:
                draining = self._switchboard.is_draining(host)
                watch.end(CloseReason.DRAINED if draining else CloseReason.INTERNAL_ERROR)
                break
            except Interrupted:
                continue
            except NoAnswer:
                await trio.sleep(AGAIN)
                continue
            serial = reply.serial
            for news in reply.news:
                watch.tell(news)
        del self._watches[watch.route]


class _Watch:
    """Who wants to know what of one transceiver."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._recent: deque[SessionNews] = deque(maxlen=_REMEMBERED)

    @property
    def wanted(self) -> bool:
        return bool(self._subscriptions)

    def join(self, session: str) -> Subscription:
        subscription = Subscription(self, session)
        self._subscriptions.setdefault(session, []).append(subscription)
        for news in self._recent:
            if news.session == session:
                subscription.tell(news)
        return subscription

    def leave(self, session: str, subscription: Subscription) -> None:
        subscriptions = self._subscriptions[session]
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[session]

    def tell(self, news: SessionNews) -> None:
        self._recent.append(news)
        for subscription in self._subscriptions.get(news.session, ()):
            subscription.tell(news)

    def end(self, reason: CloseReason) -> None:
        for session, subscriptions in self._subscriptions.items():
            for each in subscriptions:
                each.tell(SessionNews(SessionId(session), reason, "its transceiver is gone"))
