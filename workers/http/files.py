"""A page of our own: files read once, served with an entity tag and a strict content policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from html import escape
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

INDEX: Final = "index.html"
"""The file behind `/`."""
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def page_routes(
    directory: Traversable,
    names: Iterable[str],
    *,
    permissions: str,
    policy: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> list[Route]:
    """`/` and what it loads. Nothing comes from elsewhere; `policy` adds to what the page may.

    `values` stand for `{{name}}` in the index, where attributes are.
    """
    headers = {
        # No build step gives the files names of their content, so the browser asks each time; the
        # answer is 304 and empty.
        "cache-control": "no-cache",
        "content-security-policy": "; ".join(
            f"{what} {whence}" for what, whence in (_POLICY | dict(policy or {})).items()
        ),
        "permissions-policy": permissions,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    contents = {name: (directory / name).read_bytes() for name in names}
    for name, value in (values or {}).items():
        slot = f"{{{{{name}}}}}".encode()
        contents[INDEX] = contents[INDEX].replace(slot, escape(value).encode())
    return [_route(name, content, headers) for name, content in contents.items()]


def _route(name: str, content: bytes, common: Mapping[str, str]) -> Route:
    tag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
    headers = {**common, "etag": tag}
    media_type = _TYPES[name.rpartition(".")[2]]

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return Route("/" if name == INDEX else f"/{name}", serve)
