"""What signaling and the supervisor ask a transceiver about its sessions, answered."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ipc.backend.messages import ClientHints
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.details import FindSession
from ipc.messages.sessions import (
    CountSessions,
    CreateSession,
    EndSession,
    ListSessions,
    PatchSession,
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionList,
    SessionPatched,
    SessionRefused,
    SessionUnknown,
    WatchSessions,
)
from ipc.messages.sidebands import CloseSideband, OpenSideband, ReadSidebands, TellSession
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.core.interface import (
    CloseSession,
    Create,
    Created,
    ForSession,
    FromSession,
    IcePatched,
    PatchIce,
    Refused,
    SessionsEvent,
    SessionsOutput,
)
from workers.transceiver.news import News
from workers.transceiver.sideband_desk import SidebandDesk


class Desk:
    """Of one transceiver."""

    def __init__(
        self,
        exchange: Exchange,
        handle: Callable[[SessionsEvent], list[SessionsOutput]],
        news: News,
        sidebands: SidebandDesk,
    ) -> None:
        """`handle` takes an event and carries out what follows from it."""
        self._exchange = exchange
        self._sessions = exchange.sessions
        self._handle = handle
        self._news = news
        self._sidebands = sidebands

    async def answer(self, request: Message) -> Message:
        """The reply to one request."""
        match request:
            case CreateSession():
                return self._ask(
                    Create(
                        0,
                        request.offer,
                        request.backend,
                        request.max_duration,
                        request.idle_timeout,
                        request.claims,
                        ClientHints("", request.user_agent, request.origin),
                        request.advertise,
                    )
                )
            case PatchSession():
                return self._ask(PatchIce(0, request.session, request.fragment, request.expected))
            case EndSession(session=session, reason=reason, detail=why):
                outputs = self._handle(ForSession(session, CloseSession(reason, why)))
                if any(isinstance(output, FromSession) for output in outputs):
                    return SessionEnded(session)
                return SessionUnknown(session, self._sessions.why_ended(session))
            case CountSessions(key=key):
                return SessionCount(self._sessions.count(key))
            case WatchSessions():
                return await self._news.watch(request)
            case OpenSideband() | TellSession() | CloseSideband() | ReadSidebands():
                return await self._sidebands.answer(request)
            case FindSession():
                detail = self._exchange.detail(request, trio.current_time())
                whom = request.session
                return detail or SessionUnknown(whom, self._sessions.why_ended(whom))
            case ListSessions(limit=limit):
                rows = self._sessions.summaries(max(0, limit), trio.current_time())
                return SessionList(rows, len(self._sessions))
            case _:
                return Failure(f"a transceiver does not answer {type(request).__name__}")

    def _ask(self, event: Create | PatchIce) -> SessionCreated | SessionPatched | SessionRefused:
        for output in self._handle(event):
            if isinstance(output, Created):
                return SessionCreated(output.session, output.answer, output.tag)
            if isinstance(output, IcePatched):
                return SessionPatched(output.session, output.tag, output.fragment)
            if isinstance(output, Refused):
                return SessionRefused(output.problem, output.detail)
        raise AssertionError("it gives Created, IcePatched or Refused")
