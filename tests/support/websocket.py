"""A WebSocket client over a real socket, by wsproto: text as JSON, and bytes that no client would send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)


class Rejected(Exception):
    """The handshake was answered in HTTP."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = b""

    @property
    def problem(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Closed(Exception):
    """The server has closed, with that code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WebSocketClient:
    """One connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.subprotocol: str | None = None
        self.pinged = 0
        self.pongs = True
        self._text = ""

    async def event(self) -> Event:
        """The next event; pings are answered if they are to be."""
        while True:
            for event in self.protocol.events():
                if isinstance(event, Ping):
                    self.pinged += 1
                    if self.pongs:
                        await self.send_event(event.response())
                    continue
                return event
            data = await self.stream.receive_some(65_536)
            if not data:
                raise Closed(1006)
            self.protocol.receive_data(bytes(data))

    async def handshake(self, request: Request) -> None:
        """Ask to switch. Raises Rejected."""
        await self.send_event(request)
        event = await self.event()
        if isinstance(event, RejectConnection):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            rejected = Rejected(event.status_code, headers)
            while (
                event.has_body if isinstance(event, RejectConnection) else not event.body_finished
            ):
                event = await self.event()
                assert isinstance(event, RejectData)
                rejected.body += event.data
            raise rejected
        assert isinstance(event, AcceptConnection)
        self.subprotocol = event.subprotocol

    async def send_event(self, event: Event) -> None:
        """As wsproto writes it."""
        await self.stream.send_all(self.protocol.send(event))

    async def say(self, type_: str, **fields: Any) -> None:
        """A message."""
        await self.send_event(TextMessage(data=json.dumps({"type": type_, **fields})))

    async def hear(self) -> dict[str, Any]:
        """The next message. Raises Closed."""
        while True:
            match await self.event():
                case TextMessage(data=data, message_finished=finished):
                    self._text += data
                    if finished:
                        text, self._text = self._text, ""
                        found: dict[str, Any] = json.loads(text)
                        return found
                case CloseConnection(code=code):
                    raise Closed(int(code))
                case Pong():
                    pass
                case event:
                    raise AssertionError(event)

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """A message, and the next one that comes."""
        await self.say(type_, **fields)
        return await self.hear()


@asynccontextmanager
async def websocket(
    port: int,
    path: str = "/v1/realtime/signal",
    *,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
) -> AsyncIterator[WebSocketClient]:
    """Connected, until the block ends. Raises Rejected."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = WebSocketClient(stream)
        extra = [(name.encode(), value.encode()) for name, value in headers]
        await client.handshake(
            Request(
                host=f"127.0.0.1:{port}",
                target=path,
                extra_headers=extra,
                subprotocols=list(subprotocols),
            )
        )
        yield client
