"""The words of ASGI that the server and its application have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from workers.http.problems import ProblemKind, Refused

AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
Application: TypeAlias = Callable[[AsgiMessage, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]


class PeerGone(Exception):
    """The peer closed, reset, or stopped reading. No one is left to tell."""


class RequestHead(Protocol):
    """What came before the body; names of headers are in lower case."""

    @property
    def method(self) -> bytes:
        """GET and the like."""
        ...

    @property
    def target(self) -> bytes:
        """Path and query, or a whole URL."""
        ...

    @property
    def http_version(self) -> bytes:
        """`1.0` or `1.1`."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """In the order in which they came."""
        ...


def scope_of(request: RequestHead, peer: tuple[str, int] | None) -> dict[str, Any]:
    """What the application is told of a request from that address. Raises Refused."""
    target = request.target
    if target[:7].lower() == b"http://":  # absolute-form (RFC 9112, 3.2.2)
        target = b"/" + target[7:].partition(b"/")[2]
    if not target.startswith(b"/"):
        raise Refused(ProblemKind.MALFORMED_REQUEST, "the request target is not a path")
    raw_path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "scheme": "http",
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": peer,
        "server": None,
        "state": {},
    }
