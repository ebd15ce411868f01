"""PATCH of a session: trickle ICE and ICE restart (RFC 9725, 4.3), the same at every address of a session.

`If-Match` says what is meant: the entity tag of the 201, or of the last restart, with candidates for those
ICE credentials; `"*"` (or `*`, as HTTP writes it) with new credentials for a restart.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from workers.http.problems import ProblemKind, Refused
from workers.signaling.offers import media_type, read_text
from workers.signaling.switchboard import Switchboard

FRAGMENT: Final = "application/trickle-ice-sdpfrag"
ACCEPT_PATCH: Final = {"accept-patch": FRAGMENT}
_ANY: Final = ("*", '"*"')
_TAGS: Final = re.compile(r'\s*"[\x21\x23-\x7e]{1,64}"\s*(?:,\s*"[\x21\x23-\x7e]{1,64}"\s*){0,7}')


async def patch_session(switchboard: Switchboard, request: Request) -> Response:
    """Answer it: 200 with our fragment and a new tag for a restart, else 204. Raises Refused."""
    kind = media_type(request)
    if kind == "application/sdp":
        raise Refused(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE,
            "a session takes one offer; end it and POST a new one. PATCH takes " + FRAGMENT,
            ACCEPT_PATCH,
        )
    if kind != FRAGMENT:
        got = kind or "no content type"
        raise Refused(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"send {FRAGMENT}, not {got}", ACCEPT_PATCH
        )
    expected = _expected(request)
    fragment = read_text(await request.body(), ProblemKind.MALFORMED_FRAGMENT, "the fragment")
    patched = await switchboard.patch(request.path_params["session"], fragment, expected)
    headers = {"cache-control": "no-store"}
    if not patched.fragment:
        return Response(status_code=204, headers=headers)
    return Response(
        patched.fragment, 200, headers | {"etag": f'"{patched.ice}"'}, media_type=FRAGMENT
    )


def refuse_offer(allow: str) -> Refused:
    """What to raise at whoever would renegotiate; `allow` are the methods there are."""
    return Refused(
        ProblemKind.METHOD_NOT_ALLOWED,
        "a session takes one offer and is not renegotiated; end it and POST a new one",
        {"allow": allow} | ACCEPT_PATCH,
    )


def _expected(request: Request) -> tuple[str, ...]:
    """Tags of If-Match; none stands for `*`."""
    header = ",".join(request.headers.getlist("if-match")).strip()
    if not header:
        raise Refused(
            ProblemKind.IF_MATCH_MISSING,
            'If-Match says what is meant: the ETag of the last answer, or "*" for an ICE restart',
        )
    if header in _ANY:
        return ()
    if _TAGS.fullmatch(header) is None:
        raise Refused(ProblemKind.STALE_ICE, "If-Match is neither an entity tag of ours nor *")
    return tuple(tag.strip()[1:-1] for tag in header.split(","))
