"""What every response of ours has, whatever it answers: problem bodies and security headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from workers.http.problems import OF_STATUS, ProblemKind, Refused

_EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_STARTS: Final = ("http.response.start", "websocket.http.response.start")


def application_of(routes: Sequence[BaseRoute], middleware: Sequence[Middleware] = ()) -> ASGIApp:
    """An ASGI application; what it refuses is a problem, in its own routes and outside of them."""
    application = Starlette(
        routes=list(routes),
        middleware=[Middleware(SecurityHeaders), *middleware],
        exception_handlers={Refused: _refused, HTTPException: _http, Exception: _bug},
    )
    application.router.redirect_slashes = False
    return application


class SecurityHeaders:
    """Adds to every response what browsers should never guess."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with headers added."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] in _STARTS:
                message["headers"] = [*message.get("headers", ()), *_EVERYWHERE]
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def deny(socket: WebSocket, refused: Refused) -> None:
    """Answer a handshake in HTTP."""
    await socket.send_denial_response(respond(refused))


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return respond(refused)


async def _http(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: unknown path, wrong method."""
    assert isinstance(error, HTTPException)
    kind = OF_STATUS.get(error.status_code, ProblemKind.MALFORMED_REQUEST)
    detail = error.detail
    if kind is ProblemKind.NOT_FOUND:
        detail = f"nothing at {request.scope['path']!r}"
    elif kind is ProblemKind.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not one of {(error.headers or {}).get('Allow', '')}"
    return respond(Refused(kind, detail, dict(error.headers or {})))


async def _bug(_: Request, error: Exception) -> Response:
    """Ours; the error goes on to the guard of the connection, which counts and logs it."""
    return respond(Refused(ProblemKind.INTERNAL_ERROR, "it has been recorded"))


def respond(refused: Refused) -> Response:
    """The answer that says what is wrong."""
    return Response(refused.encode(), refused.kind.status, refused.response_headers)


def socket_routes(
    path: str, admit: Callable[[WebSocket], Awaitable[None]]
) -> list[WebSocketRoute | Route]:
    """The address of a WebSocket whose client may go at any time; what asks without one is told so."""

    async def attach(socket: WebSocket) -> None:
        try:
            await admit(socket)
        except* WebSocketDisconnect:
            pass

    async def plain(_: Request) -> Response:
        raise Refused(
            ProblemKind.UPGRADE_REQUIRED, "open a WebSocket here", {"upgrade": "websocket"}
        )

    return [WebSocketRoute(path, attach), Route(path, plain)]
