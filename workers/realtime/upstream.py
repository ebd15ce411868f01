"""The WebSocket to a Realtime server: text both ways, in order, bounded; it fails with a reason.

What is sent waits in a short queue, and whoever sends waits for room in it. A server that takes nothing for
`STALL` seconds, says nothing for `SILENCE`, or says more than `MAX_MESSAGE` at a time has failed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.events import Event as WsEvent
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

CONNECT_WITHIN: Final = 10.0
STALL: Final = 10.0
PING_EVERY: Final = 15.0
SILENCE: Final = 45.0
CLOSE_WITHIN: Final = 1.0
MAX_MESSAGE: Final = 4 << 20
"""Bytes, or characters, of one message of the server's."""
QUEUE: Final = 256
"""Messages that wait to be sent: five seconds of audio."""
_READ: Final = 65_536
_MAX_REASON: Final = 200


class UpstreamFailed(Exception):
    """The server is no more to be spoken with; `code` is one word, the text says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Server(NamedTuple):
    """Where it is."""

    host: str
    port: int
    tls: bool
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """For the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def find_server(url: str, model: str) -> Server:
    """`wss://HOST[:PORT]/PATH[?QUERY]`, asked for that model unless the URL names one, or it is empty."""
    parts = urlsplit(url)
    tls = parts.scheme == "wss"
    query = parts.query
    if model and not any(pair.partition("=")[0] == "model" for pair in query.split("&")):
        query += ("&" if query else "") + f"model={quote(model, safe='')}"
    target = (parts.path or "/") + (f"?{query}" if query else "")
    return Server(parts.hostname or "", parts.port or (443 if tls else 80), tls, target)


class Upstream:
    """An open WebSocket. All of it raises UpstreamFailed once it is no more."""

    def __init__(self, stream: trio.abc.Stream, connection: WSConnection) -> None:
        self._stream = stream
        self._connection = connection
        self._queue, self._queued = trio.open_memory_channel[WsEvent](QUEUE)
        self._parts: list[str] = []
        self._length = 0
        self._heard_at = trio.current_time()

    async def send(self, text: str) -> None:
        """Send a text message; waits while the queue is full."""
        await self._queue.send(TextMessage(data=text))

    async def receive(self) -> str:
        """The next text message. Raises UpstreamFailed when none will come any more."""
        while True:
            for event in self._connection.events():
                if (text := self._take(event)) is not None:
                    await trio.lowlevel.checkpoint()
                    return text
            await self._receive()

    async def shake_hands(self, server: Server, headers: list[tuple[bytes, bytes]]) -> None:
        """Ask for the WebSocket, and wait for the answer. Raises UpstreamFailed."""
        await self._stream.send_all(
            self._connection.send(
                Request(host=server.authority, target=server.target, extra_headers=headers)
            )
        )
        while True:
            for event in self._connection.events():
                if isinstance(event, AcceptConnection):
                    return
                if isinstance(event, RejectConnection):
                    raise UpstreamFailed(
                        "upstream_refused", f"the server answered {event.status_code}"
                    )
            await self._receive()

    async def write(self) -> None:
        """Send what is queued, for ever. Raises UpstreamFailed."""
        async for event in self._queued:
            await self._write(event)

    async def stay_alive(self) -> None:
        """Ping, for ever. Raises UpstreamFailed when nothing comes for too long."""
        while True:
            await trio.sleep(PING_EVERY)
            if trio.current_time() - self._heard_at > SILENCE:
                raise UpstreamFailed("upstream_silent", f"nothing came for {SILENCE:g} s")
            await self._queue.send(Ping())

    async def close(self) -> None:
        """Say goodbye, if there is anybody to hear it, and close the connection."""
        with trio.move_on_after(CLOSE_WITHIN, shield=True), suppress(UpstreamFailed):
            await self._write(CloseConnection(code=1000))
        await trio.aclose_forcefully(self._stream)

    async def _write(self, event: WsEvent) -> None:
        try:
            data = self._connection.send(event)
        except LocalProtocolError as error:  # it is closing: who reads will say so
            raise UpstreamFailed("upstream_closed", "the server has closed") from error
        try:
            with trio.fail_after(STALL):
                await self._stream.send_all(data)
        except trio.TooSlowError as error:
            raise UpstreamFailed("upstream_slow", f"took nothing for {STALL:g} s") from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise UpstreamFailed("upstream_closed", "the connection broke") from error

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(_READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise UpstreamFailed("upstream_closed", "the connection broke") from error
        self._heard_at = trio.current_time()
        try:
            self._connection.receive_data(bytes(data) or None)
        except RemoteProtocolError as error:
            raise UpstreamFailed("upstream_violation", f"no WebSocket: {error}") from error

    def _take(self, event: WsEvent) -> str | None:
        if isinstance(event, TextMessage):
            self._length += len(event.data)
            if self._length > MAX_MESSAGE:
                raise UpstreamFailed("upstream_violation", "a message is too large")
            self._parts.append(event.data)
            if event.message_finished:
                text = "".join(self._parts)
                self._parts, self._length = [], 0
                return text
        elif isinstance(event, BytesMessage):
            raise UpstreamFailed("upstream_violation", "a message is no text")
        elif isinstance(event, Ping):
            with suppress(trio.WouldBlock):  # what is queued shows as well that we live
                self._queue.send_nowait(event.response())
        elif isinstance(event, CloseConnection):
            said = "".join(c for c in event.reason or "" if c.isprintable())[:_MAX_REASON]
            raise UpstreamFailed("upstream_closed", f"closed: {int(event.code)} {said}".strip())
        return None


async def open_upstream(
    server: Server, key: str, *, trust: Callable[[], ssl.SSLContext] = ssl.create_default_context
) -> Upstream:
    """A WebSocket to that server, with that key as its bearer; to be closed. Raises UpstreamFailed."""
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    try:
        with trio.fail_after(CONNECT_WITHIN):
            stream = await _connect(server, trust)
            upstream = Upstream(stream, WSConnection(ConnectionType.CLIENT))
            try:
                await upstream.shake_hands(server, headers)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
    except (trio.TooSlowError, OSError, trio.BrokenResourceError) as error:
        why = f"no connection: {type(error).__name__}"
        raise UpstreamFailed("upstream_unreachable", why) from error
    return upstream


async def _connect(server: Server, trust: Callable[[], ssl.SSLContext]) -> trio.abc.Stream:
    if not server.tls:
        return await trio.open_tcp_stream(server.host, server.port)
    return await trio.open_ssl_over_tcp_stream(
        server.host, server.port, https_compatible=True, ssl_context=trust()
    )
