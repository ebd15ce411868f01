"""`/whip/{backend}`: WebRTC-HTTP ingestion (RFC 9725), with audio in both directions allowed.

The answer has all our candidates and our side learns the client's from its checks: trickle is accepted,
and nobody needs it.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.signaling.access import Access, bearer_of
from workers.signaling.delivery import AnswerResponse
from workers.signaling.fragments import ACCEPT_PATCH, patch_session, refuse_offer
from workers.signaling.offers import SDP, Offer, read_sdp
from workers.signaling.placing import Rules, make_request
from workers.signaling.switchboard import Switchboard

_ENDPOINT: Final = "/whip/{backend}"
_SESSION: Final = "/whip/{backend}/{session}"
_ALLOW: Final = "DELETE, OPTIONS, PATCH"
_METHODS: Final = ("DELETE", "OPTIONS", "PATCH", "GET", "POST", "PUT")


def routes(switchboard: Switchboard, access: Access, rules: Rules) -> list[Route]:
    """The WHIP end point of each back end, and its sessions."""

    async def create(request: Request) -> Response:
        backend = request.path_params["backend"]
        client = access.client_of(request.scope)
        permit = await access.admit(bearer_of(request.headers), client)
        offer = Offer(await read_sdp(request), {})
        wanted = make_request(
            rules, offer, request.headers, backend=backend, client=client, permit=permit
        )
        created = await switchboard.create(*wanted, at_most=permit.sessions)
        location = f"/whip/{backend}/{created.session}"
        return AnswerResponse(switchboard, created, {"location": location})

    async def offer_options(_: Request) -> Response:
        return Response(status_code=204, headers={"accept-post": SDP, "allow": "OPTIONS, POST"})

    async def session(request: Request) -> Response:
        match request.method:
            case "PATCH":
                await access.recognise(bearer_of(request.headers))
                return await patch_session(switchboard, request)
            case "DELETE":
                await access.recognise(bearer_of(request.headers))
                await switchboard.end(request.path_params["session"])
                return Response(status_code=200, headers={"cache-control": "no-store"})
            case "OPTIONS":
                return Response(status_code=204, headers={"allow": _ALLOW} | ACCEPT_PATCH)
            case _:  # reserved (4.2)
                raise refuse_offer(_ALLOW)

    return [
        Route(_ENDPOINT, create, methods=["POST"]),
        Route(_ENDPOINT, offer_options, methods=["OPTIONS"]),
        Route(_SESSION, session, methods=_METHODS),
    ]
