"""By what names a browser may ask for us.

A page from elsewhere can let its own host name point at this machine (DNS rebinding) and then read what
listens on loopback, as if it were its own. It cannot do so by an address or by `localhost`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from config.ids import Endpoint
from workers.http.application import respond
from workers.http.hosts import is_local
from workers.http.problems import ProblemKind, Refused


class KnownHosts:
    """Refuses a request for a name that cannot be ours, where we listen on loopback alone."""

    def __init__(self, app: ASGIApp, listen: Iterable[Endpoint]) -> None:
        self._app = app
        self._private = all(ip_address(each.host).is_loopback for each in listen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if self._private and scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not is_local(host):
                detail = f"{host[:100]!r} is not how this machine calls itself; ask for 127.0.0.1"
                await respond(Refused(ProblemKind.MISDIRECTED, detail))(scope, receive, send)
                return
        await self._app(scope, receive, send)
