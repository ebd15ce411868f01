"""All routes of signaling, and CORS as configured."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from workers.http.application import application_of
from workers.signaling import (
    calls,
    health,
    minting,
    page,
    sideband_socket,
    signal_socket,
    whip,
)
from workers.signaling.access import Access, Gate
from workers.signaling.news import News
from workers.signaling.placing import Rules
from workers.signaling.sidebands import Sidebands
from workers.signaling.switchboard import Switchboard


def make_application(
    switchboard: Switchboard,
    cors_origins: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  # a value
    access: Access | None = None,
    news: News | None = None,
    sidebands: Sidebands | None = None,
) -> ASGIApp:
    """The ASGI application of the signaling worker. `*` in `cors_origins` allows every page.

    Without `access` anybody may call. Of `news` and `sidebands` somebody else does the asking.
    """
    access = access or Access(gate=Gate(origins=frozenset(cors_origins)))
    news = news or News(switchboard)
    sidebands = sidebands or Sidebands(switchboard)
    middleware = []
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
    return application_of(
        [
            *calls.routes(switchboard, access, rules),
            *minting.routes(access, rules),
            *whip.routes(switchboard, access, rules),
            *signal_socket.routes(switchboard, news, access, rules, cors_origins),
            *sideband_socket.routes(sidebands, access, cors_origins),
            *health.routes(switchboard),
            *page.routes(rules.default),
        ],
        middleware,
    )
