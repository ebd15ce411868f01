"""`GET /v1/realtime/signal`: all of a call's signaling over one WebSocket, and what becomes of the call.

One call at a time. The socket is a way to talk about it, not its life: a call goes on when its socket
closes, and another socket takes it up with an ICE restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, assert_never

import trio
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from config.ids import SessionId
from workers.http.application import deny, socket_routes
from workers.http.problems import ProblemKind, Refused
from workers.signaling import offers
from workers.signaling.access import Access, bearer_of
from workers.signaling.news import News, Subscription
from workers.signaling.origins import check_origin
from workers.signaling.placing import Rules, make_request
from workers.signaling.signals import (
    Answer,
    Closed,
    Connected,
    Follow,
    Followed,
    HangUp,
    HungUp,
    Offer,
    Problem,
    Reply,
    Restart,
    Restarted,
    Said,
    Trickle,
    Trickled,
    Unreadable,
    Wanted,
    parse_signal,
    write_signal,
)
from workers.signaling.switchboard import Switchboard

PATH: Final = "/v1/realtime/signal"
SUBPROTOCOL: Final = "tandem"
BEARER: Final = "tandem.bearer."
"""A subprotocol that begins so ends with the bearer: pages cannot give a WebSocket headers."""
IDLE: Final = 30.0
"""Seconds a socket may be silent that has no call."""
MAX_UNREADABLE: Final = 16
_NORMAL: Final = 1000
_POLICY_VIOLATION: Final = 1008


def routes(
    switchboard: Switchboard, news: News, access: Access, rules: Rules, cors_origins: Sequence[str]
) -> list[WebSocketRoute | Route]:
    """The address of the signaling WebSocket."""

    async def admit(socket: WebSocket) -> None:
        try:
            # Browsers let any page open a WebSocket to anywhere, and say only which page it is.
            headers = socket.headers
            check_origin(headers.get("origin", ""), headers.get("host", ""), cors_origins)
            bearer = bearer_of(socket.headers) or _bearer_among(socket.scope["subprotocols"])
            await access.recognise(bearer)
        except Refused as refused:
            await deny(socket, refused)
            return
        chosen = SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None
        await Line(socket, switchboard, news, access, rules, bearer).serve(chosen)

    return socket_routes(PATH, admit)


class Line:
    """One client's socket, and the call that it is about."""

    def __init__(
        self,
        socket: WebSocket,
        switchboard: Switchboard,
        news: News,
        access: Access,
        rules: Rules,
        bearer: str,
    ) -> None:
        self._socket = socket
        self._switchboard = switchboard
        self._news = news
        self._access = access
        self._rules = rules
        self._bearer = bearer
        self._session = ""

    async def serve(self, subprotocol: str | None) -> None:
        """Until either side has enough. Raises WebSocketDisconnect, alone or in a group."""
        await self._socket.accept(subprotocol)
        async with trio.open_nursery() as nursery:
            code, reason = await self._hear(nursery)
            nursery.cancel_scope.cancel()
        await self._socket.close(code, reason)

    async def _hear(self, nursery: trio.Nursery) -> tuple[int, str]:
        """Heed what the client says; gives why that is enough."""
        unreadable = 0
        while unreadable < MAX_UNREADABLE:
            text = None
            with trio.move_on_after(IDLE):
                text = await self._socket.receive_text()
            if text is None:
                if self._session:
                    continue
                return _NORMAL, "there is no call"
            try:
                await self._answer(parse_signal(text), nursery)
            except Unreadable as refused:
                unreadable += 1
                await self._say(Problem(refused.as_object(), refused.id))
        return _POLICY_VIOLATION, "too many messages that are none"

    async def _answer(self, request: Wanted, nursery: trio.Nursery) -> None:
        try:
            match request:
                case Offer():
                    await self._place(request, nursery)
                    return
                case Trickle(fragment, ice, session=session):
                    await self._switchboard.patch(session or self._own(), fragment, (ice,))
                    reply: Reply = Trickled(request.id)
                case Restart():
                    reply = await self._restart(request, nursery)
                case Follow(session=session):
                    self._take_up(session)
                    if not self._session:
                        self._follow(SessionId(session), nursery)
                    reply = Followed(request.id)
                case HangUp(session=session):
                    await self._switchboard.end(session or self._own())
                    reply = HungUp(request.id)
                case _ as never:
                    assert_never(never)
        except Refused as refused:
            await self._say(Problem(refused.as_object(), request.id))
        else:
            await self._say(reply)

    async def _place(self, request: Offer, nursery: trio.Nursery) -> None:
        if self._session:
            raise Refused(ProblemKind.METHOD_NOT_ALLOWED, "this socket has a call; end it first")
        client = self._access.client_of(self._socket.scope)
        permit = await self._access.admit(self._bearer, client)
        wanted = make_request(
            self._rules,
            offers.Offer(request.sdp, request.session),
            self._socket.headers,
            backend=request.backend,
            client=client,
            permit=permit,
        )
        created = await self._switchboard.create(*wanted, at_most=permit.sessions)
        written = False
        try:
            self._follow(created.session, nursery)
            await self._say(Answer(created.session, created.answer, created.ice, request.id))
            written = True
        finally:
            if not written:  # nobody knows that call
                with suppress(Refused):
                    await self._switchboard.end(created.session)

    async def _restart(self, request: Restart, nursery: trio.Nursery) -> Restarted:
        session = request.session or self._own()
        self._take_up(session)
        patched = await self._switchboard.patch(session, request.fragment, ())
        if not self._session:
            self._follow(patched.session, nursery)
        return Restarted(patched.session, patched.fragment, patched.ice, request.id)

    def _take_up(self, session: str) -> None:
        if self._session and session != self._session:
            raise Refused(ProblemKind.METHOD_NOT_ALLOWED, "this socket has another call")

    def _own(self) -> str:
        if not self._session:
            raise Refused(ProblemKind.UNKNOWN_SESSION, "this socket has no call")
        return self._session

    def _follow(self, session: SessionId, nursery: trio.Nursery) -> None:
        """Make it the call of this socket."""
        owner = self._switchboard.owner(session)
        if owner is None:
            raise Refused(ProblemKind.UNKNOWN_SESSION, "its transceiver has just ended")
        self._session = session
        nursery.start_soon(self._tell, self._news.subscribe(owner.route, session))

    async def _tell(self, subscription: Subscription) -> None:
        """What becomes of the call, until it is over."""
        with subscription:
            while True:
                news = await subscription.next()
                if news.closed is None:
                    await self._say(Connected(news.session))
                    continue
                self._session = ""
                await self._say(Closed(news.session, news.closed, news.detail))
                return

    async def _say(self, said: Said) -> None:
        await self._socket.send_text(write_signal(said))


def _bearer_among(subprotocols: Sequence[str]) -> str:
    found = (each for each in subprotocols if each.startswith(BEARER))
    return next(found, "").removeprefix(BEARER)
