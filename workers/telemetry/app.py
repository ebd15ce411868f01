"""The routes: metrics, health, the page and what it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from config.ids import Endpoint
from workers.http.application import application_of
from workers.http.files import page_routes
from workers.http.problems import ProblemKind, Refused
from workers.telemetry.core import view
from workers.telemetry.core.exposition import OPEN_METRICS, PROMETHEUS
from workers.telemetry.core.history import History
from workers.telemetry.core.metrics import exposition
from workers.telemetry.hosts import KnownHosts
from workers.telemetry.source import Source

SERVING: Final = frozenset({"ready", "degraded"})
"""States of an appliance that takes calls."""
_FRESH: Final = {"cache-control": "no-store"}
_PAGE: Final = ("index.html", "app.js", "charts.js", "style.css", "icon.svg")


def make_application(
    source: Source, history: History, listen: Iterable[Endpoint], began: int
) -> ASGIApp:
    """The ASGI application of the telemetry worker; `began` is when it started, in ms since 1970."""

    async def metrics(request: Request) -> Response:
        wants = "application/openmetrics-text" in request.headers.get("accept", "")
        text = exposition(await source.status()).encode(open_metrics=wants)
        kind = OPEN_METRICS if wants else PROMETHEUS
        return Response(text, headers=_FRESH | {"content-type": kind})

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_FRESH)

    async def readyz(_: Request) -> Response:
        status = await source.status()
        if status is None:
            raise Refused(ProblemKind.NOT_READY, "the supervisor does not answer")
        if status.cordoned:
            raise Refused(ProblemKind.DRAINING, "an operator has drained this host")
        if status.state not in SERVING:
            raise Refused(ProblemKind.NOT_READY, f"the appliance is {status.state}")
        return JSONResponse({"status": status.state}, headers=_FRESH)

    async def data(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        serial = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        return _json(view.data(history, serial, await source.status(), began))

    async def sessions(_: Request) -> Response:
        return _json(view.sessions(await source.sessions()))

    return application_of(
        [
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/data.json", data),
            Route("/sessions.json", sessions),
            *page_routes(
                files("workers.telemetry") / "page",
                _PAGE,
                permissions="microphone=(), camera=(), geolocation=()",
            ),
        ],
        [Middleware(KnownHosts, listen=tuple(listen))],
    )


def _json(body: bytes) -> Response:
    return Response(body, headers=_FRESH | {"content-type": "application/json"})
