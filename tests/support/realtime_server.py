"""A Realtime server on loopback: a real WebSocket, events checked by the official library's types.

async with realtime_server() as server:
    server.url
    line = await server.line()          # the first connection
    await line.until("session.update")
    await line.answer(pcm)
"""

from __future__ import annotations

import base64
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import openai.types.realtime as types
import trio
from pydantic import BaseModel
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from workers.realtime.core.events import encode_event, parse_event

PER_MS: Final = 48
DELTA: Final = 100 * PER_MS


def _kinds(union: Any) -> dict[str, type[BaseModel]]:
    members = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(m.model_fields["type"].annotation)[0]: m for m in members}


CLIENT: Final = _kinds(types.RealtimeClientEvent)
SERVER: Final = _kinds(types.RealtimeServerEvent)


def conforming(event: dict[str, Any], kinds: dict[str, type[BaseModel]]) -> None:
    """Raises if the event is none of these, or has a field that its kind does not have."""
    model = kinds[event["type"]].model_validate(event, strict=True)
    assert not model.model_extra, f"{event['type']} has no {sorted(model.model_extra)}"


class Line:
    """One connection, from the server's side."""

    def __init__(self, stream: trio.abc.Stream, request: Request, server: RealtimeServer) -> None:
        self.target = request.target
        self.authorization = dict(request.extra_headers).get(b"authorization", b"").decode()
        self.events: list[dict[str, Any]] = []
        """Of the client, in order, without audio."""
        self.heard = bytearray()
        """Audio of the client."""
        self.said: dict[str, int] = {}
        """Bytes of audio in each item."""
        self.closed: int | None = None
        """Code by which the client has closed."""
        self.stream = stream
        self._server = server
        self._number = 0
        self._answers = 0
        self._changed = trio.Event()
        self._sending = trio.Lock()
        self._session: dict[str, Any] = {"type": "realtime", "model": "fake", "instructions": ""}

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        self._number += 1
        event = {"type": kind, "event_id": f"event_{self._number}", **fields}
        conforming(event, SERVER)
        await self.send_text(encode_event(event))

    async def send_text(self, text: str) -> None:
        """Send anything."""
        await self.transmit(TextMessage(data=text))

    async def transmit(self, event: Event) -> None:
        async with self._sending:
            await self.stream.send_all(self.connection.send(event))

    async def begin(self, connection: WSConnection) -> None:
        self.connection = connection
        await self.send("session.created", session=self._session)

    async def take(self, text: str) -> None:
        """An event of the client."""
        event = parse_event(text)
        try:
            conforming(event, CLIENT)
        except Exception as error:
            self._server.problems.append(f"{text[:200]}: {error}")
        match event["type"]:
            case "input_audio_buffer.append":
                self.heard += base64.b64decode(event["audio"], validate=True)
            case "session.update":
                self._session |= event["session"]
                await self.send("session.updated", session=self._session)
            case "conversation.item.truncate":
                item, until = event["item_id"], event["audio_end_ms"]
                if until * PER_MS > self.said[item]:
                    self._server.problems.append(f"{item} has no {until} ms")
                await self.send(
                    "conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=until
                )
            case _:
                pass
        if event["type"] != "input_audio_buffer.append":
            self.events.append(event)
        self.wake()

    def wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, kind: str) -> dict[str, Any]:
        """The first event of that kind; it is taken."""
        with trio.fail_after(60):
            while True:
                for event in self.events:
                    if event["type"] == kind:
                        self.events.remove(event)
                        return event
                await self._changed.wait()

    async def until_heard(self, size: int) -> bytes:
        """The first so many bytes of the client's audio."""
        with trio.fail_after(60):
            while len(self.heard) < size:
                await self._changed.wait()
        return bytes(self.heard)

    async def answer(self, pcm: bytes, *, end: bool = True) -> str:
        """Say that; returns the id of its item. `end=False`: it is still going on."""
        self._answers += 1
        response, item = f"resp_{self._answers}", f"item_{self._answers}"
        at = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        self.said[item] = len(pcm)
        await self.send("response.created", response={"id": response, "status": "in_progress"})
        for start in range(0, len(pcm), DELTA):
            delta = base64.b64encode(pcm[start : start + DELTA]).decode()
            await self.send("response.output_audio.delta", delta=delta, **at)
        if end:
            await self.send("response.output_audio.done", **at)
            await self.send("response.done", response={"id": response, "status": "completed"})
        return item

    async def speech_started(self) -> None:
        """The caller has begun to speak."""
        await self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_user")


class RealtimeServer:
    """All connections."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 101
        """Another one refuses connections."""
        self.problems: list[str] = []
        """What clients did that does not conform."""
        self._lines: list[Line] = []
        self._changed = trio.Event()

    async def line(self, index: int = 0) -> Line:
        """A connection, once it is there."""
        with trio.fail_after(60):
            while len(self._lines) <= index:
                await self._changed.wait()
        return self._lines[index]

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = WSConnection(ConnectionType.SERVER)
        line: Line | None = None
        text = ""
        try:
            while True:
                data = await stream.receive_some(65_536)
                connection.receive_data(data or None)
                for event in connection.events():
                    if isinstance(event, Request):
                        if self.status != 101:
                            reply = RejectConnection(status_code=self.status)
                            await stream.send_all(connection.send(reply))
                            return
                        await stream.send_all(connection.send(AcceptConnection()))
                        line = Line(stream, event, self)
                        await line.begin(connection)
                        self._lines.append(line)
                        self._changed.set()
                        self._changed = trio.Event()
                    elif isinstance(event, TextMessage):
                        assert line is not None
                        text += event.data
                        if event.message_finished:
                            await line.take(text)
                            text = ""
                    elif isinstance(event, Ping):
                        await stream.send_all(connection.send(event.response()))
                    elif isinstance(event, CloseConnection):
                        if line is not None:
                            line.closed = int(event.code)
                            line.wake()
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def realtime_server() -> AsyncIterator[RealtimeServer]:
    """A server, gone behind you."""
    server = RealtimeServer()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/v1/realtime"
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
