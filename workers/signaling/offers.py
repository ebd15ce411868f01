"""Reads an SDP offer out of a request, whichever of the accepted shapes it has."""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from workers.http.problems import ProblemKind, Refused
from workers.signaling.objects import parse_object

SDP: Final = "application/sdp"
_MULTIPART: Final = "multipart/form-data"
_MAX_PARTS: Final = 8
_CHARSETS: Final = (b"utf-8", b"utf8", b"us-ascii")

# It writes a warning for each form that is not one: a line per request, for whoever likes to send many.
logging.getLogger("python_multipart.multipart").disabled = True


class Offer(NamedTuple):
    """An offer and, in the multipart shape, the session the client asked for."""

    sdp: str
    session: dict[str, Any]


def media_type(request: Request) -> str:
    """The content type without parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_sdp(request: Request) -> str:
    """The body of an `application/sdp` request. Raises Refused."""
    if media_type(request) != SDP:
        raise _unsupported(request, SDP)
    return read_text(await request.body())


async def read_offer(request: Request) -> Offer:
    """`application/sdp`, or multipart with `sdp` and optionally `session` (JSON). Raises Refused."""
    match media_type(request):
        case "application/sdp":
            return Offer(read_text(await request.body()), {})
        case "multipart/form-data":
            return await _read_multipart(request)
        case _:
            raise _unsupported(request, f"{SDP} or {_MULTIPART}")


async def _read_multipart(request: Request) -> Offer:
    _refuse_strange_charsets(request)
    await (
        request.body()
    )  # whole, so that what is wrong with its form is answered on a clean connection
    try:
        async with request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS) as form:
            sdp = await _part(form.get("sdp"))
            session = await _part(form.get("session"))
    except (HTTPException, KeyError, ValueError) as error:
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        raise Refused(ProblemKind.MALFORMED_REQUEST, f"multipart: {detail}") from None
    if sdp is None:
        raise Refused(ProblemKind.MALFORMED_REQUEST, "multipart: there is no part named 'sdp'")
    return Offer(read_text(sdp), _session(session))


def _refuse_strange_charsets(request: Request) -> None:
    """Python has codecs that take seconds for a body of 64 KB; a browser never names one."""
    _, parameters = parse_options_header(request.headers["content-type"])
    charset = parameters.get(b"charset", b"utf-8")
    if charset.lower() not in _CHARSETS:
        detail = f"multipart: charset {charset[:20].decode('latin-1')!r}, not utf-8"
        raise Refused(ProblemKind.MALFORMED_REQUEST, detail)


async def _part(part: UploadFile | str | None) -> bytes | None:
    if isinstance(part, UploadFile):
        return await part.read()
    return None if part is None else part.encode()


def _session(text: bytes | None) -> dict[str, Any]:
    return {} if text is None else parse_object(text, "the part 'session'")


def read_text(
    body: bytes, kind: ProblemKind = ProblemKind.MALFORMED_SDP, what: str = "the offer"
) -> str:
    """UTF-8 that says something. Raises Refused with that kind."""
    if not body.strip():
        raise Refused(kind, f"{what} is empty")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused(kind, f"{what} is not UTF-8 at byte {error.start}") from None


def _unsupported(request: Request, wanted: str) -> Refused:
    got = media_type(request) or "no content type"
    return Refused(
        ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"send {wanted}, not {got}", {"accept-post": wanted}
    )
