"""One HTTP/1.1 connection: h11 on one side, an ASGI application on the other, in one task.

Every wait has a deadline, so a connection ends by itself whatever the peer does:

    first byte      request_timeout on a new connection, IDLE_TIMEOUT on one kept alive
    head and body   request_timeout from the first byte, however they trickle
    response        request_timeout per write, for a peer that does not read

There are no child tasks and no shielded waits: cancelling the task closes the connection. HTTP/2 and
CONNECT are not spoken, and of the protocols to upgrade to only WebSocket (docs/adr: the HTTP server).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Final

import h11
import msgspec
import trio

from workers.http.asgi import Application, AsgiMessage, Headers, PeerGone, scope_of
from workers.http.problems import OF_STATUS, ProblemKind, Refused
from workers.http.websocket import WebSocketExchange, asks_for_websocket

IDLE_TIMEOUT: Final = 30.0
"""Seconds a kept-alive connection may be silent."""
LINGER: Final = 1.0
"""Seconds to read on after an early answer, so that a reset does not overtake it."""
MAX_HEAD: Final = 16_384
MAX_PIECES: Final = 2_048
"""Pieces one body may come in: a chunk of one byte costs us as much as one of 16 KB."""
_PATIENCE: Final = 4
"""Request timeouts until an application that does not return counts as a bug."""
_RECEIVE_SIZE: Final = 16_384
_VERSIONS: Final = (b"1.1", b"1.0")


class Limits(msgspec.Struct, frozen=True):
    """What a client may take; seconds and bytes."""

    request_timeout: float
    max_body: int
    max_connections: int


class HttpConnection:
    """Serves requests one after another until either side has enough."""

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        application: Application,
        limits: Limits,
        *,
        answered: Callable[[int], None],
        keep_alive: Callable[[], bool],
        peer: tuple[str, int] | None = None,
    ) -> None:
        """`answered` gets each final status; `keep_alive` says if connections may stay open now.

        `peer` is at the other end, if that is known.
        """
        self._stream = stream
        self._application = application
        self._limits = limits
        self._answered = answered
        self._keep_alive = keep_alive
        self.peer = peer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._said_all = False
        """The peer sends nothing more, by its own word, and what it sent has been read."""
        self._idle: trio.CancelScope | None = None
        self._reading: trio.CancelScope | None = None
        self._evicted = False
        self._websocket: WebSocketExchange | None = None
        self._last = False
        self._deadline = 0.0

    async def run(self) -> None:
        """Return when the connection is over. Raises only what the application raised."""
        try:
            if not await self._request_begins(self._limits.request_timeout):
                return
            while await self._serve_request():
                if not await self._request_begins(IDLE_TIMEOUT):
                    return
            if not self._said_all:
                await self._linger()
        except PeerGone:
            pass

    def stop_waiting(self) -> None:
        """Close now if no request is under way."""
        if self._idle is not None:
            self._idle.cancel()
        if self._websocket is not None:
            self._websocket.stop()

    def make_room(self) -> bool:
        """End now, if the peer has yet to send what it has begun with; whether that is so."""
        waits = self._idle or self._reading
        if waits is None or self._evicted:
            return False
        self._evicted = True
        waits.cancel()
        return True

    # --- one request ------------------------------------------------------------------------------

    async def _request_begins(self, within: float) -> bool:
        if self._http.trailing_data[0]:
            return True
        data = b""
        with trio.move_on_after(within) as self._idle:
            while (data := await self.receive_some()) and not (data := data.lstrip(b"\r\n")):
                pass  # empty lines before a request are ignored (RFC 9112, 2.2)
        self._idle = None
        self._http.receive_data(data)
        return bool(data)

    async def _serve_request(self) -> bool:
        """True if the connection can take another request."""
        self._deadline = trio.current_time() + self._limits.request_timeout
        exchange = None
        try:
            request = await self._read_head()
            if request is None:
                return False
            if asks_for_websocket(request):
                return await self._serve_websocket(request)
            exchange = Exchange(self, request)
            with trio.fail_after(_PATIENCE * self._limits.request_timeout):
                await exchange.run(self._application)
        except Refused as refused:
            if exchange is None or not exchange.started:
                await self._refuse(refused)
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            announced = (b"connection", b"close") in request.headers
            read = self._http.their_state is h11.MUST_CLOSE and not self._http.trailing_data[0]
            self._said_all = announced and read
            return False
        self._http.start_next_cycle()
        return True

    async def _serve_websocket(self, request: h11.Request) -> bool:
        """Until it closes. False: this connection takes no other request. Raises Refused."""
        self._last = True
        await self.next_event()  # the end of its body, which is empty
        if not self._keep_alive():
            raise Refused(ProblemKind.BUSY, "too many connections are open for one that stays")
        self._websocket = WebSocketExchange(self, request, scope_of(request, self.peer))
        await self._websocket.run(self._application)
        return False

    async def _read_head(self) -> h11.Request | None:
        event = await self.next_event()
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in _VERSIONS:
            raise Refused(ProblemKind.HTTP_VERSION, f"not {event.http_version.decode('ascii')}")
        if event.method == b"CONNECT":
            raise Refused(ProblemKind.METHOD_NOT_ALLOWED, "this is not a proxy")
        return event

    async def _refuse(self, refused: Refused) -> None:
        """Answer without the application: the request never became one."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = refused.encode()
        headers = [
            *((name.encode(), value.encode()) for name, value in refused.response_headers.items()),
            (b"content-length", b"%d" % len(body)),
        ]
        await self.respond(refused.kind.status, headers, body, last=True)

    # --- bytes ------------------------------------------------------------------------------------

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """The next event of this request. Raises Refused (malformed, too slow) and PeerGone."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self.send_all(self._http.send(go_on) or b"")
                self._http.receive_data(await self._more())
        except h11.RemoteProtocolError as error:
            kind = OF_STATUS.get(error.error_status_hint, ProblemKind.MALFORMED_REQUEST)
            raise Refused(kind, str(error)) from None
        except trio.TooSlowError:
            within = f"{self._limits.request_timeout:g} s"
            raise Refused(ProblemKind.REQUEST_TIMEOUT, f"not complete in {within}") from None
        return event  # type: ignore[return-value]  # h11's sentinels are their own types

    async def _more(self) -> bytes:
        """What comes of a request. Raises PeerGone and TooSlowError."""
        data: bytes | None = None
        try:
            with trio.fail_at(self._deadline) as self._reading:
                data = await self.receive_some()
        except trio.TooSlowError:
            if not self._evicted:
                raise
        finally:
            self._reading = None
        if data is None:
            raise PeerGone
        return data

    async def respond(self, status: int, headers: Headers, body: bytes, *, last: bool) -> None:
        """Write the response head and its first (often only) piece of body in one go."""
        headers = [*headers, (b"date", _date(int(time.time())))]
        unread = self._http.their_state in (h11.SEND_BODY, h11.ERROR, h11.IDLE)
        if unread or self._last or not self._keep_alive():
            headers.append((b"connection", b"close"))
        head = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        self._answered(status)
        await self.write(body, last=last, before=head)

    async def switch(self, headers: Headers) -> bytes:
        """Leave HTTP (101); gives what has come behind the request."""
        head = self._http.send(h11.InformationalResponse(status_code=101, headers=headers))
        self._answered(101)
        await self.send_all(head or b"")
        return self._http.trailing_data[0]

    async def write(self, body: bytes, *, last: bool, before: bytes = b"") -> None:
        """Write a piece of the response body, and its end if `last`."""
        data = before
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        if last:
            data += self._http.send(h11.EndOfMessage()) or b""
        await self.send_all(data)

    async def send_all(self, data: bytes) -> None:
        """Write, within the request timeout. Raises PeerGone."""
        try:
            with trio.fail_after(self._limits.request_timeout):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            raise PeerGone from None

    async def receive_some(self) -> bytes:
        """What has come; nothing at the end. Raises PeerGone."""
        try:
            return bytes(await self._stream.receive_some(_RECEIVE_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise PeerGone from None

    async def _linger(self) -> None:
        """Close our half and read what is still on its way (RFC 9112, 9.6)."""
        with trio.move_on_after(LINGER):
            try:
                await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            for _ in range(self._limits.max_body // _RECEIVE_SIZE + 1):
                if not await self.receive_some():
                    return

    @property
    def max_body(self) -> int:
        """Bytes a request body may have."""
        return self._limits.max_body


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    """The Date header's value; it changes once a second."""
    return formatdate(seconds, usegmt=True).encode()


class Exchange:
    """One request and its response, as ASGI sees them."""

    def __init__(self, connection: HttpConnection, request: h11.Request) -> None:
        self._connection = connection
        self._request = request
        self._head_only = request.method == b"HEAD"
        self._announced = 0
        self._received = 0
        self._pieces = 0
        self._body_read = False
        self._body_told = False
        self._gone = False
        self._start: tuple[int, Headers] | None = None
        self.started = False

    async def run(self, application: Application) -> None:
        """Have the application answer. Raises what it raised; a missing answer is its bug."""
        scope = scope_of(self._request, self._connection.peer)
        if not self._has_body():
            await self._connection.next_event()
            self._body_read = True
        await application(scope, self._receive, self._send)
        if not self.started:
            raise RuntimeError(f"no answer to {scope['method']} {scope['path']!r}")

    def _has_body(self) -> bool:
        for name, value in self._request.headers:
            if name == b"transfer-encoding":
                return True
            if name == b"content-length":
                self._announced = int(value)
        return self._announced > 0

    async def _receive(self) -> AsgiMessage:
        if self._body_told:
            await trio.sleep_forever()
        if self._body_read:
            return self._end_of_body()
        if self._announced > self._connection.max_body:
            raise self._too_large()
        try:
            event = await self._connection.next_event()
        except PeerGone:
            self._gone = True
            raise
        if isinstance(event, h11.Data):
            self._received += len(event.data)
            self._pieces += 1
            if self._received > self._connection.max_body:
                raise self._too_large()
            if self._pieces > MAX_PIECES:
                raise Refused(ProblemKind.MALFORMED_REQUEST, "the body comes in too many pieces")
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        self._body_read = True
        return self._end_of_body()

    def _end_of_body(self) -> AsgiMessage:
        self._body_told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: AsgiMessage) -> None:
        if self._gone:
            raise PeerGone
        if message["type"] == "http.response.start":
            self._start = (message["status"], list(message.get("headers", ())))
            return
        body = b"" if self._head_only else bytes(message.get("body", b""))
        last = not message.get("more_body", False)
        if self._start is None:
            await self._connection.write(body, last=last)
            return
        (status, headers), self._start = self._start, None
        self.started = True
        await self._connection.respond(status, headers, body, last=last)

    def _too_large(self) -> Refused:
        limit = self._connection.max_body
        return Refused(ProblemKind.TOO_LARGE, f"a request body may have {limit} bytes")
