"""Offer, answer and hang-up over HTTP: Realtime-style calls and WHIP (RFC 9725)."""

from __future__ import annotations

import json
import ssl
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from workers.http_client import ConnectionLost, HttpFailed, Response, request

REALTIME_PATH: Final = "/v1/realtime/calls"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_MAX_QUOTE: Final = 200


class Placed(NamedTuple):
    """The server took the call."""

    answer: str
    resource: str
    """Absolute URL of the call."""


class Exchange:
    """Places calls at one URL. Its methods raise HttpFailed with a text for a human."""

    def __init__(self, url: str, *, key: str = "", within: float = 10.0) -> None:
        self._url = url
        self._key = key
        self._within = within
        self._realtime = REALTIME_PATH in url.partition("?")[0]
        self._tls = ssl.create_default_context() if url.startswith("https:") else None

    async def place(self, offer: str) -> Placed:
        """Send an offer."""
        headers = {"Content-Type": "application/sdp", "Accept": "application/sdp"}
        response = await self._request("POST", self._url, headers, offer.encode())
        if response.status != 201:
            raise HttpFailed(explain(response) + self._advice(response.status))
        location = response.headers.get("location")
        if not location:
            raise HttpFailed("the answer names no Location, so the call could not be hung up")
        try:
            resource = urljoin(self._url, location)
        except ValueError:
            raise HttpFailed(
                f"the answer's Location is no URL: {location[:_MAX_QUOTE]!r}"
            ) from None
        return Placed(response.body.decode(errors="replace"), resource)

    async def restart(self, resource: str, fragment: str) -> str:
        """Ask for an ICE restart of a call (RFC 9725, 4.3.3); the server's fragment.

        Twice, if the connection breaks: the same fragment again is the same restart.
        """
        headers = {"Content-Type": FRAGMENT, "If-Match": '"*"'}
        try:
            response = await self._request("PATCH", resource, headers, fragment.encode())
        except ConnectionLost:
            response = await self._request("PATCH", resource, headers, fragment.encode())
        if response.status != 200:
            raise HttpFailed(f"ICE restart: {explain(response)}")
        return response.body.decode(errors="replace")

    async def hang_up(self, resource: str) -> None:
        """End a call that was placed."""
        if self._realtime:
            response = await self._request("POST", f"{resource}/hangup", {}, b"")
        else:
            response = await self._request("DELETE", resource, {}, b"")
        if not 200 <= response.status < 300:
            raise HttpFailed(f"hang-up: {explain(response)}")

    async def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> Response:
        if self._key:
            headers = headers | {"Authorization": f"Bearer {self._key}"}
        return await request(
            method, url, headers=headers, body=body, within=self._within, tls=self._tls
        )

    def _advice(self, status: int) -> str:
        """What to type instead, where that can be told."""
        if status == 401 and not self._key:
            return " (TANDEM_API_KEY in the environment, or --key)"
        if status in (404, 405) and urlsplit(self._url).path in ("", "/"):
            return f" (is {self._url.rstrip('/')}{REALTIME_PATH} meant?)"
        return ""


def explain(response: Response) -> str:
    """Status and what the body says about it; problem+json (RFC 9457) in its own words."""
    try:
        problem = json.loads(response.body)
        said = problem.get("detail") or problem.get("title") or ""
    except (ValueError, AttributeError):
        said = response.body.decode(errors="replace").strip().partition("\n")[0]
    text = f"HTTP {response.status}"
    said = "".join(c if c.isprintable() else " " for c in str(said))[:_MAX_QUOTE]
    if said:
        text += f": {said}"
    if retry := response.headers.get("retry-after"):
        text += f" (try again in {retry[:20]} s)"
    return text
