"""Errors a caller can act on: RFC 9457 `application/problem+json` with a stable `type`.

The `type` is a URN, not a URL, because an appliance in a closed network must not point at a page that
nobody there can open. It never changes; `title` may; `detail` names what was wrong this time.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

import msgspec

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
RETRY_SOON: Final = 1
"""Seconds: another transceiver may be ready, or a session may have ended, by then."""
RETRY_LATER: Final = 30
"""Seconds: the host drains; a balancer has somewhere else to go."""


class _Kind(NamedTuple):
    slug: str
    status: int
    title: str


class ProblemKind(Enum):
    """Every problem that a server of ours answers with."""

    # the request
    MALFORMED_REQUEST = _Kind("malformed-request", 400, "The request could not be read")
    MALFORMED_SDP = _Kind("malformed-sdp", 400, "The offer is not valid SDP")
    MALFORMED_FRAGMENT = _Kind("malformed-fragment", 400, "Not a valid SDP fragment")
    UNAUTHORIZED = _Kind("unauthorized", 401, "A key, a client secret or a token is needed")
    FORBIDDEN = _Kind("forbidden", 403, "That is not allowed to this caller")
    NOT_FOUND = _Kind("not-found", 404, "There is nothing at this address")
    UNKNOWN_BACKEND = _Kind("unknown-backend", 404, "No such back end")
    UNKNOWN_SESSION = _Kind("unknown-session", 404, "No such session, or it is over")
    METHOD_NOT_ALLOWED = _Kind("method-not-allowed", 405, "This address does not take that method")
    REQUEST_TIMEOUT = _Kind("request-timeout", 408, "The request did not arrive in time")
    STALE_ICE = _Kind("stale-ice", 412, "Not the ICE credentials of this session any more")
    TOO_LARGE = _Kind("too-large", 413, "The request body is too large")
    MISDIRECTED = _Kind("misdirected", 421, "This server has another name")
    UNSUPPORTED_MEDIA_TYPE = _Kind("unsupported-media-type", 415, "Not a content type we read")
    NOTHING_IN_COMMON = _Kind("nothing-in-common", 422, "No codec or transport in common")
    UNUSABLE_FRAGMENT = _Kind("unusable-fragment", 422, "This cannot be changed in that way")
    UPGRADE_REQUIRED = _Kind("upgrade-required", 426, "This address speaks WebSocket")
    IF_MATCH_MISSING = _Kind("if-match-missing", 428, "Say which ICE credentials are meant")
    TOO_MANY = _Kind("too-many-calls", 429, "Too many calls in too short a time")
    QUOTA = _Kind("quota", 429, "That key has all the calls that it may have at a time")
    SIDEBANDS = _Kind("too-many-sidebands", 429, "That call has all the sidebands it may have")
    HEADERS_TOO_LARGE = _Kind("headers-too-large", 431, "The request header is too large")
    UNFIT_BACKEND = _Kind("unfit-backend", 501, "The back end cannot serve this call here")
    HTTP_VERSION = _Kind("http-version", 505, "HTTP/1.0 and HTTP/1.1 are spoken here")
    # the appliance
    INTERNAL_ERROR = _Kind("internal-error", 500, "We have made a mistake")
    FULL = _Kind("full", 503, "All transceivers are full")
    BACKEND_AWAY = _Kind("backend-away", 503, "Nobody serves that back end at the moment")
    DRAINING = _Kind("draining", 503, "This host takes no new sessions")
    BUSY = _Kind("busy", 503, "Too many connections")
    KEYS_AWAY = _Kind("keys-away", 503, "Keys of the identity provider are not known yet")
    NOT_READY = _Kind("not-ready", 503, "No transceiver is ready")
    NO_ANSWER = _Kind("no-answer", 504, "The transceiver did not answer in time")

    @property
    def type(self) -> str:
        """The stable URN."""
        return f"urn:tandem:problem:{self.value.slug}"

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self.value.status


OF_STATUS: Final = {
    400: ProblemKind.MALFORMED_REQUEST,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
    413: ProblemKind.TOO_LARGE,
    431: ProblemKind.HEADERS_TOO_LARGE,
}
"""What the HTTP libraries call by status alone."""

_RETRY_AFTER: Final = {
    ProblemKind.FULL: RETRY_SOON,
    ProblemKind.BACKEND_AWAY: RETRY_SOON,
    ProblemKind.QUOTA: RETRY_SOON,
    ProblemKind.SIDEBANDS: RETRY_SOON,
    ProblemKind.BUSY: RETRY_SOON,
    ProblemKind.KEYS_AWAY: RETRY_SOON,
    ProblemKind.NOT_READY: RETRY_SOON,
    ProblemKind.NO_ANSWER: RETRY_SOON,
    ProblemKind.DRAINING: RETRY_LATER,
}


class Refused(Exception):
    """The request ends here, with this problem as its response."""

    def __init__(
        self, kind: ProblemKind, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{kind.value.slug}: {detail}")
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}

    @property
    def response_headers(self) -> dict[str, str]:
        """Content type, Retry-After where waiting helps, and the refusal's own."""
        headers = {"content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store"}
        if self.kind in _RETRY_AFTER:
            headers["retry-after"] = str(_RETRY_AFTER[self.kind])
        return headers | self.headers

    def encode(self) -> bytes:
        """The problem+json body."""
        return msgspec.json.encode(self.as_object())

    def as_object(self) -> dict[str, object]:
        """What it has in JSON."""
        return {
            "type": self.kind.type,
            "title": self.kind.value.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
