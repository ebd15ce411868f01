"""`POST /v1/realtime/client_secrets`: a server's API key buys a secret that a browser may have."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workers.http.problems import ProblemKind, Refused
from workers.signaling.access import Access, bearer_of
from workers.signaling.grants import Grant, Wishes
from workers.signaling.objects import parse_object
from workers.signaling.offers import media_type
from workers.signaling.placing import Rules

PATH: Final = "/v1/realtime/client_secrets"
_JSON: Final = "application/json"
_DEFAULT_SECONDS: Final = 600


_Origin: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^https?://[a-z0-9.:\[\]-]{1,253}$", max_length=264)
]
_Cluster: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _ExpiresAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=10, le=7200)] = _DEFAULT_SECONDS


class Wanted(Wishes, frozen=True):
    """What a server asks for."""

    expires_after: _ExpiresAfter = _ExpiresAfter()
    # beyond the Realtime API, as most of the wishes
    single_use: bool = False
    origins: Annotated[tuple[_Origin, ...], msgspec.Meta(max_length=16)] = ()
    clusters: Annotated[tuple[_Cluster, ...], msgspec.Meta(max_length=64)] = ()


def routes(access: Access, rules: Rules) -> list[Route]:
    """The address where secrets are made."""

    async def mint(request: Request) -> Response:
        holder = await access.may_mint(bearer_of(request.headers), access.client_of(request.scope))
        wanted = read_wanted(await _body(request))
        if wanted.backend and wanted.backend not in rules.backends:
            raise Refused(
                ProblemKind.UNKNOWN_BACKEND, f"there is no back end {wanted.backend[:64]!r}"
            )
        grant = Grant(
            session=wanted.session,
            metadata=wanted.metadata,
            backend=wanted.backend,
            max_duration=wanted.max_duration,
            idle_timeout=wanted.idle_timeout,
            once=wanted.single_use,
            origins=wanted.origins,
            clusters=wanted.clusters,
        )
        minted = access.mint(holder, grant, wanted.expires_after.seconds)
        return JSONResponse(
            {
                "value": minted.value,
                "expires_at": minted.expires_at,
                "session": {"type": "realtime"} | wanted.session,
            },
            headers={"cache-control": "no-store"},
        )

    return [Route(PATH, mint, methods=["POST"])]


async def _body(request: Request) -> bytes:
    body = await request.body()
    if body and media_type(request) != _JSON:
        got = media_type(request) or "no content type"
        raise Refused(ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"send {_JSON}, not {got}")
    return body


def read_wanted(body: bytes) -> Wanted:
    """What is to be in a secret; an empty body is the default. Raises Refused."""
    if not body.strip():
        return Wanted()
    wanted = parse_object(body, "the request")
    try:
        return msgspec.convert(wanted, Wanted)
    except msgspec.ValidationError as error:
        raise Refused(ProblemKind.MALFORMED_REQUEST, str(error)) from None
