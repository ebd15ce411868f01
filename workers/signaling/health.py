"""`/healthz` and `/readyz`: is this process alive, and should a balancer send sessions here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workers.http.problems import ProblemKind, Refused
from workers.signaling.switchboard import Switchboard


def routes(switchboard: Switchboard) -> list[Route]:
    """Liveness never asks anyone; readiness asks what an offer would meet."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    async def readyz(_: Request) -> Response:
        if switchboard.placement.draining:
            raise Refused(ProblemKind.DRAINING, "this host is being drained")
        if not switchboard.ready:
            raise Refused(ProblemKind.NOT_READY, "no transceiver accepts sessions")
        return JSONResponse({"status": "ready"}, headers={"cache-control": "no-store"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
