"""A WebSocket (RFC 6455) where a request was: wsproto on one side, an ASGI application on the other.

As in HTTP every wait ends by itself: a peer that says nothing is asked (ping) after PING_AFTER and gone
after as long again, one that does not read is gone after the request timeout. There are no tasks of its
own: bytes are read when the application asks for a message, so what a peer may have in here is one
message. No extensions, so no compression; messages are text.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Protocol

import trio
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import generate_accept_token

from workers.http.asgi import Application, AsgiMessage, Headers, PeerGone, RequestHead
from workers.http.problems import ProblemKind, Refused

PING_AFTER: Final = 20.0
"""Seconds of silence."""
MAX_FRAGMENTS: Final = 1_024
"""Pieces one message may come in."""
GOING_AWAY: Final = 1001
_UNSUPPORTED: Final = 1003
_ABNORMAL: Final = 1006
_TOO_BIG: Final = 1009
_VERSION: Final = b"13"
_KEY_LENGTH: Final = 16


class Carrier(Protocol):
    """The connection underneath, which has read a request."""

    @property
    def max_body(self) -> int:
        """Bytes of a message."""
        ...

    async def respond(self, status: int, headers: Headers, body: bytes, *, last: bool) -> None:
        """Answer with HTTP after all."""
        ...

    async def switch(self, headers: Headers) -> bytes:
        """Say 101; gives what has come behind the request."""
        ...

    async def receive_some(self) -> bytes:
        """Bytes of the peer; none at their end. Raises PeerGone."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Write, within bounds of time. Raises PeerGone."""
        ...


class _NobodyThere(BrokenPipeError):
    """What ASGI has an application hear of PeerGone: an OSError."""


def asks_for_websocket(request: RequestHead) -> bool:
    """A request to switch, and no other: whoever asks for another protocol is answered in HTTP."""
    found = dict(request.headers)
    tokens = {token.strip().lower() for token in found.get(b"connection", b"").split(b",")}
    return (
        request.method == b"GET"
        and request.http_version == b"1.1"
        and found.get(b"upgrade", b"").lower() == b"websocket"
        and b"upgrade" in tokens
        and b"transfer-encoding" not in found
        and found.get(b"content-length", b"0") == b"0"
    )


class WebSocketExchange:
    """One WebSocket, as ASGI sees it."""

    def __init__(self, carrier: Carrier, request: RequestHead, scope: dict[str, Any]) -> None:
        """`scope` is that of the request. Raises Refused if it is no handshake."""
        names = [name for name, _ in request.headers]
        headers = dict(request.headers)
        self._key = headers.get(b"sec-websocket-key", b"")
        if headers.get(b"sec-websocket-version") != _VERSION:
            raise Refused(
                ProblemKind.UPGRADE_REQUIRED,
                "WebSocket version 13 is spoken here",
                {"sec-websocket-version": "13"},
            )
        if names.count(b"sec-websocket-key") != 1 or not _is_key(self._key):
            raise Refused(ProblemKind.MALFORMED_REQUEST, "Sec-WebSocket-Key is not 16 bytes")
        self._scope = scope | {
            "type": "websocket",
            "scheme": "ws",
            "subprotocols": _subprotocols(request),
            "extensions": {"websocket.http.response": {}},
        }
        self._carrier = carrier
        self._protocol = Connection(ConnectionType.SERVER)
        self._sending = trio.Lock()
        self._waiting: trio.CancelScope | None = None
        self._stopping = trio.Event()
        self._asked = False
        self._connected = False
        self._accepted = False
        self._closed: int | None = None
        self._denial: tuple[int, Headers] | None = None
        self._text = ""
        self._fragments = 0

    async def run(
        self,
        application: Application,
    ) -> None:
        """Have the application answer, and say goodbye if it has not."""
        gone = False
        try:
            await application(self._scope, self._receive, self._send)
        except* _NobodyThere:
            gone = True
        if gone:  # outside, or it would come in a group
            raise PeerGone
        if self._accepted and self._closed is None:
            await self._close(1000, "")

    def stop(self) -> None:
        """Say that we are going away, when nothing is being answered."""
        self._stopping.set()
        if self._waiting is not None:
            self._waiting.cancel()

    # --- to the application -----------------------------------------------------------------------

    async def _receive(self) -> AsgiMessage:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        try:
            while self._closed is None:
                # One at a time: what is behind it must not count yet, a goodbye least of all.
                event = next(self._protocol.events(), None)
                if event is None:
                    await self._read()
                elif (message := await self._heed(event)) is not None:
                    return message
        except PeerGone:
            self._closed = _ABNORMAL
        return {"type": "websocket.disconnect", "code": self._closed}

    async def _read(self) -> None:
        """Wait for bytes, or say goodbye instead."""
        if self._stopping.is_set():
            await self._close(GOING_AWAY, "this server ends")
            return
        data = None
        with trio.move_on_after(PING_AFTER) as self._waiting:
            data = await self._carrier.receive_some()
        self._waiting = None
        if data:
            self._asked = False
            self._protocol.receive_data(data)
        elif data is not None or (self._asked and not self._stopping.is_set()):
            raise PeerGone
        elif not self._stopping.is_set():
            self._asked = True
            await self._write(Ping())

    async def _heed(self, event: Event) -> AsgiMessage | None:
        match event:
            case TextMessage():
                return await self._join(event)
            case BytesMessage():
                await self._close(_UNSUPPORTED, "messages are text")
            case Ping():
                await self._write(event.response())
            case CloseConnection(code=code, reason=reason):
                if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                    await self._write(event.response())
                else:  # what came is no frame
                    await self._close(int(code), reason or "")
                self._closed = int(code)
            case _:  # a pong: that something came is all it says
                return None
        return None

    async def _join(self, event: TextMessage) -> AsgiMessage | None:
        self._text += event.data
        self._fragments += 1
        if len(self._text) > self._carrier.max_body or self._fragments > MAX_FRAGMENTS:
            self._text = ""
            await self._close(_TOO_BIG, f"a message may have {self._carrier.max_body} bytes")
            return None
        if not event.message_finished:
            return None
        text, self._text, self._fragments = self._text, "", 0
        return {"type": "websocket.receive", "text": text}

    # --- from the application ---------------------------------------------------------------------

    async def _send(self, message: AsgiMessage) -> None:
        """Raises OSError when nobody is there any more, as ASGI has it."""
        try:
            await self._say(message)
        except PeerGone:
            self._closed = _ABNORMAL
            raise _NobodyThere from None

    async def _say(self, message: AsgiMessage) -> None:
        match message["type"]:
            case "websocket.accept":
                await self._accept(message.get("subprotocol"))
            case "websocket.send":
                if self._closed is not None:
                    raise PeerGone
                await self._write(TextMessage(data=message["text"]))
            case "websocket.close" if self._accepted:
                await self._close(message.get("code", 1000), message.get("reason") or "")
            case "websocket.close":  # there is no such address
                refused = Refused(ProblemKind.NOT_FOUND, f"nothing at {self._scope['path']!r}")
                headers = [(n.encode(), v.encode()) for n, v in refused.response_headers.items()]
                await self._deny(refused.kind.status, headers, refused.encode())
            case "websocket.http.response.start":
                self._denial = (message["status"], list(message.get("headers", ())))
            case "websocket.http.response.body" if self._denial:
                await self._deny(*self._denial, message.get("body", b""))
            case unknown:
                raise RuntimeError(f"a WebSocket has no {unknown!r} now")

    async def _accept(self, subprotocol: str | None) -> None:
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"upgrade"),
            (b"sec-websocket-accept", generate_accept_token(self._key)),
        ]
        if subprotocol:
            headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        behind = await self._carrier.switch(headers)
        self._accepted = True
        if behind:
            self._protocol.receive_data(behind)

    async def _deny(self, status: int, headers: Headers, body: bytes) -> None:
        self._closed = _ABNORMAL
        if not any(name.lower() == b"content-length" for name, _ in headers):
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self._carrier.respond(status, headers, body, last=True)

    async def _close(self, code: int, reason: str) -> None:
        """Say goodbye once; what the peer says after that is not waited for."""
        if self._closed is None:
            self._closed = code
            if self._protocol.state is ConnectionState.OPEN:
                await self._write(CloseConnection(code=code, reason=reason))

    async def _write(self, event: Event) -> None:
        async with self._sending:
            state, closing = self._protocol.state, isinstance(event, CloseConnection)
            if state is not ConnectionState.OPEN and not (
                closing and state is ConnectionState.REMOTE_CLOSING
            ):
                raise PeerGone
            await self._carrier.send_all(self._protocol.send(event))


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_LENGTH
    except binascii.Error:
        return False


def _subprotocols(request: RequestHead) -> list[str]:
    offered = b",".join(v for n, v in request.headers if n == b"sec-websocket-protocol")
    return [each for part in offered.decode("latin-1").split(",") if (each := part.strip())]
