"""`/v1/realtime/calls`: an offer in, an answer out, in the shape of the Realtime API.

A browser SDK written for that API works with another base URL. What it puts into `session` (model,
voice, instructions) is for back ends; a model with the name of one of them chooses it.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.signaling.access import Access, bearer_of
from workers.signaling.delivery import AnswerResponse
from workers.signaling.fragments import patch_session, refuse_offer
from workers.signaling.offers import read_offer
from workers.signaling.placing import Rules, make_request
from workers.signaling.switchboard import Switchboard

PATH: Final = "/v1/realtime/calls"


def routes(switchboard: Switchboard, access: Access, rules: Rules) -> list[Route]:
    """The addresses of calls, and what one may do to them."""

    async def create(request: Request) -> Response:
        client = access.client_of(request.scope)
        permit = await access.admit(bearer_of(request.headers), client)
        asked = request.query_params
        wanted = make_request(
            rules,
            await read_offer(request),
            request.headers,
            backend=asked.get("backend", ""),
            model=asked.get("model", ""),
            client=client,
            permit=permit,
        )
        created = await switchboard.create(*wanted, at_most=permit.sessions)
        return AnswerResponse(switchboard, created, {"location": f"{PATH}/{created.session}"})

    async def hang_up(request: Request) -> Response:
        await access.recognise(bearer_of(request.headers))
        await switchboard.end(request.path_params["session"])
        return Response(status_code=200, headers={"cache-control": "no-store"})

    async def session(request: Request) -> Response:
        if request.method != "PATCH":
            raise refuse_offer("PATCH")
        await access.recognise(bearer_of(request.headers))
        return await patch_session(switchboard, request)

    return [
        Route(PATH, create, methods=["POST"]),
        Route(PATH + "/{session}/hangup", hang_up, methods=["POST"]),
        Route(PATH + "/{session}", session, methods=["PATCH", "GET", "POST", "PUT"]),
    ]
