"""All routes, and what every response has: problem bodies, security headers, CORS as configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.signaling import calls, health, minting, page, signal_socket, whip
from workers.signaling.access import Access
from workers.signaling.news import News
from workers.signaling.placing import Rules
from workers.signaling.problems import OF_STATUS, ProblemKind, Refused
from workers.signaling.switchboard import Switchboard

_EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

_STARTS: Final = ("http.response.start", "websocket.http.response.start")


def make_application(
    switchboard: Switchboard,
    cors_origins: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  # a value
    access: Access | None = None,
    news: News | None = None,
) -> ASGIApp:
    """The ASGI application of the signaling worker. `*` in `cors_origins` allows every page.

    Without `access` anybody may call. Of `news` somebody else does the asking.
    """
    access = access or Access()
    news = news or News(switchboard)
    middleware = [Middleware(SecurityHeaders)]
    if cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors_origins),
                allow_methods=["GET", "POST", "PATCH", "DELETE", "OPTIONS"],
                allow_headers=["*"],  # SDKs add names of their own; none of them says who it is
                expose_headers=[
                    "location",
                    "etag",
                    "link",
                    "accept-post",
                    "accept-patch",
                    "retry-after",
                    "www-authenticate",
                ],
            )
        )
    application = Starlette(
        routes=[
            *calls.routes(switchboard, access, rules),
            *minting.routes(access, rules),
            *whip.routes(switchboard, access, rules),
            *signal_socket.routes(switchboard, news, access, rules, cors_origins),
            *health.routes(switchboard.placement),
            *page.routes(),
        ],
        middleware=middleware,
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


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return _respond(refused)


async def _http(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: unknown path, wrong method."""
    assert isinstance(error, HTTPException)
    kind = OF_STATUS.get(error.status_code, ProblemKind.MALFORMED_REQUEST)
    detail = error.detail
    if kind is ProblemKind.NOT_FOUND:
        detail = f"nothing at {request.scope['path']!r}"
    elif kind is ProblemKind.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not one of {(error.headers or {}).get('Allow', '')}"
    return _respond(Refused(kind, detail, dict(error.headers or {})))


async def _bug(_: Request, error: Exception) -> Response:
    """Ours; the error goes on to the guard of the connection, which counts and logs it."""
    return _respond(Refused(ProblemKind.INTERNAL_ERROR, "it has been recorded"))


def _respond(refused: Refused) -> Response:
    return Response(refused.encode(), refused.kind.status, refused.response_headers)
