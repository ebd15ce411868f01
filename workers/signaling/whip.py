"""`/whip/{backend}`: WebRTC-HTTP ingestion (RFC 9725), with audio in both directions allowed.

Trickle and ICE restart (PATCH) are not offered yet; a session then answers 405 (section 4.3). The
answer has all our candidates and our side learns the client's from its checks, so neither is missed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.signaling.delivery import AnswerResponse
from workers.signaling.offers import SDP, read_sdp
from workers.signaling.switchboard import Switchboard

_ENDPOINT: Final = "/whip/{backend}"
_SESSION: Final = "/whip/{backend}/{session}"


def routes(switchboard: Switchboard) -> list[Route]:
    """The WHIP end point of each back end, and its sessions."""

    async def create(request: Request) -> Response:
        backend = request.path_params["backend"]
        created = await switchboard.create(await read_sdp(request), backend)
        ice_session = blake2b(created.answer.encode(), digest_size=12).hexdigest()
        headers = {
            "location": f"/whip/{backend}/{created.session}",
            "etag": f'"{ice_session}"',
        }
        return AnswerResponse(switchboard, created, headers)

    async def offer_options(_: Request) -> Response:
        return Response(status_code=204, headers={"accept-post": SDP, "allow": "OPTIONS, POST"})

    async def delete(request: Request) -> Response:
        await switchboard.end(request.path_params["session"])
        return Response(status_code=200, headers={"cache-control": "no-store"})

    async def session_options(_: Request) -> Response:
        return Response(status_code=204, headers={"allow": "DELETE, OPTIONS"})

    return [
        Route(_ENDPOINT, create, methods=["POST"]),
        Route(_ENDPOINT, offer_options, methods=["OPTIONS"]),
        Route(_SESSION, delete, methods=["DELETE"]),
        Route(_SESSION, session_options, methods=["OPTIONS"]),
    ]
