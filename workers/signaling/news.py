"""What happens to sessions, told to the clients that have a WebSocket: one watch for each transceiver."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final

import trio

from config.ids import Route, SessionId
from ipc.messages.sessions import CloseReason, SessionNews, WatchSessions
from workers.signaling.switchboard import Switchboard
from workers.signaling.watches import Watches

WATCH: Final = 10.0
"""Seconds that a transceiver may keep a request until there are news."""
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
        self._watches = Watches(switchboard, partial(_Watch, switchboard))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask for ever."""
        await self._watches.run(task_status)

    def subscribe(self, route: Route, session: str) -> Subscription:
        """News of a session of that transceiver, from now until the `with` ends."""
        watch = self._watches.of(route)
        subscription = watch.join(session)
        self._watches.follow(watch)
        return subscription


class _Watch:
    """Who wants to know what of one transceiver."""

    def __init__(self, switchboard: Switchboard, route: Route) -> None:
        self.route: Final = route
        self._switchboard = switchboard
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._recent: deque[SessionNews] = deque(maxlen=_REMEMBERED)

    @property
    def wanted(self) -> bool:
        return bool(self._subscriptions)

    @property
    def empty(self) -> bool:
        return not self._subscriptions

    def join(self, session: str) -> Subscription:
        subscription = Subscription(self, session)
        self._subscriptions.setdefault(session, []).append(subscription)
        for news in self._recent:
            if news.session == session:
                subscription.tell(news)
        return subscription

    def leave(self, session: str, subscription: Subscription) -> None:
        subscriptions = self._subscriptions.get(session, [])
        if subscription in subscriptions:  # else it is over for all
            subscriptions.remove(subscription)
        if not subscriptions:
            self._subscriptions.pop(session, None)

    async def ask(self, after: int) -> int:
        reply = await self._switchboard.watch(self.route, WatchSessions(after, WATCH))
        for news in reply.news:
            self._recent.append(news)
            for subscription in self._subscriptions.get(news.session, ()):
                subscription.tell(news)
        return reply.serial

    def end(self, reason: CloseReason) -> None:
        for session, subscriptions in self._subscriptions.items():
            for each in subscriptions:
                each.tell(SessionNews(SessionId(session), reason, "its transceiver is gone"))
        self._subscriptions.clear()
