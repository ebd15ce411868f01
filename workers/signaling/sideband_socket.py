"""`GET /v1/realtime?call_id=`: an application beside a call, in the shape of the Realtime API.

It hears the events that the back end says to the client, and what it says reaches the back end as if the
client had said it. The socket and the call end without each other: only the call's end closes the socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ipc.backend.messages import MAX_PAYLOAD
from ipc.messages.sessions import CloseReason
from ipc.messages.sidebands import SidebandEvent
from workers.http.application import deny, socket_routes
from workers.http.problems import ProblemKind, Refused
from workers.signaling.access import Access, bearer_of
from workers.signaling.origins import check_origin
from workers.signaling.sidebands import Sideband, Sidebands

PATH: Final = "/v1/realtime"
CALL: Final = "call_id"
SUBPROTOCOL: Final = "realtime"
"""Chosen if it is offered: some libraries offer it and insist."""
LAST_WORDS: Final = 5.0
"""Seconds to wait for why a call has ended, of which we know that it has."""
MAX_REASON: Final = 123
"""Bytes that a closing frame has for it (RFC 6455, 5.5)."""
_NORMAL: Final = 1000
_POLICY_VIOLATION: Final = 1008
_TOO_BIG: Final = 1009
_INTERNAL_ERROR: Final = 1011


def routes(
    sidebands: Sidebands, access: Access, cors_origins: Sequence[str]
) -> list[WebSocketRoute | Route]:
    """The address of sidebands."""

    async def admit(socket: WebSocket) -> None:
        try:
            headers = socket.headers
            check_origin(headers.get("origin", ""), headers.get("host", ""), cors_origins)
            key = await access.attend(bearer_of(headers), access.client_of(socket.scope))
            call = socket.query_params.get(CALL, "")
            if not call:
                what = f"say which call: {PATH}?{CALL}=rtc_..."
                raise Refused(ProblemKind.MALFORMED_REQUEST, what)
            async with sidebands.open(call, key) as sideband:
                await Aside(socket, sideband).serve()
        except Refused as refused:
            await deny(socket, refused)

    return socket_routes(PATH, admit)


class Aside:
    """One application's socket."""

    def __init__(self, socket: WebSocket, sideband: Sideband) -> None:
        self._socket = socket
        self._sideband = sideband
        self._end = (_NORMAL, "")

    async def serve(self) -> None:
        """Until either side has enough. Raises WebSocketDisconnect, alone or in a group."""
        offered = self._socket.scope["subprotocols"]
        await self._socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, nursery.cancel_scope)
            nursery.start_soon(self._tell, nursery.cancel_scope)
        code, reason = self._end
        await self._socket.close(code, _fitted(reason))

    async def _hear(self, scope: trio.CancelScope) -> None:
        """Pass on what the application says, one event at a time."""
        while True:
            text = await self._socket.receive_text()
            if len(text.encode()) > MAX_PAYLOAD:
                self._end = _TOO_BIG, f"an event may have {MAX_PAYLOAD} bytes"
                break
            try:
                await self._sideband.say(text)
            except Refused as refused:
                self._end = _INTERNAL_ERROR, refused.detail
                if refused.kind is ProblemKind.UNKNOWN_SESSION:
                    await trio.sleep(LAST_WORDS)
                break
        scope.cancel()

    async def _tell(self, scope: trio.CancelScope) -> None:
        """Pass on what is said in the call."""
        while True:
            event = await self._sideband.next()
            if event.cut or event.closed is not None:
                break
            await self._socket.send_text(event.text)
        self._end = _goodbye(event)
        scope.cancel()


def _goodbye(event: SidebandEvent) -> tuple[int, str]:
    if event.closed is None:
        return _POLICY_VIOLATION, "too_slow: events were not read in time"
    code = _INTERNAL_ERROR if event.closed is CloseReason.INTERNAL_ERROR else _NORMAL
    return code, f"{event.closed.value} {event.detail}".rstrip()


def _fitted(reason: str) -> str:
    return reason.encode()[:MAX_REASON].decode(errors="ignore")
