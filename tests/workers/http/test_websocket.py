"""The WebSocket transport with strangers at it: handshakes, frames, silence, deafness, crowds."""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress

import h11
import pytest
import trio
from wsproto.events import Ping, Pong

from tests.support.signaling import (
    FakeTransceivers,
    Running,
    running_server,
    switchboard_with,
    with_limits,
)
from tests.support.websocket import Closed, Rejected, WebSocketClient, websocket
from workers.http import http1
from workers.http import websocket as transport
from workers.http.asgi import PeerGone, scope_of
from workers.signaling.app import make_application

PATH = b"/v1/realtime/signal"
HEAD = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % PATH
)
MASK = b"\0\0\0\0"


async def answer(running: Running, *pieces: bytes) -> bytes:
    """All that the server says to this, until it closes."""
    async with await running.connect() as stream:
        said = b""
        with trio.fail_after(60):
            try:
                for piece in pieces:
                    await stream.send_all(piece)
                while data := await stream.receive_some():
                    said += data
            except trio.BrokenResourceError:
                pass
        return said


async def test_the_handshake_of_rfc_6455() -> None:
    async with running_server() as running:
        said = await answer(running, HEAD + b"\x88\x82" + MASK + b"\x03\xe8")
        head, _, frames = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert frames == b"\x88\x02\x03\xe8"
        assert running.server.responses[101] == 1
        assert running.server.guarded == 0


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff\xfe", 400),
        (b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Key", 400),
        (PATH, b"/v1/realtime/calls", 404),
        (PATH, b"*", 400),
        (b"GET", b"POST", 405),
        (b"Upgrade: WebSocket", b"Upgrade: h2c", 426),
        (b"keep-alive, Upgrade", b"close", 426),
        (b"Host: localhost\r\n", b"Host: localhost\r\nOrigin: https://evil.example\r\n", 403),
    ],
)
async def test_what_is_no_handshake(old: bytes, new: bytes, status: int) -> None:
    request = HEAD.replace(old, new).replace(b"keep-alive", b"close")
    async with running_server(limits=with_limits(request_timeout=1.0)) as running:
        said = await answer(running, request)
        assert said.startswith(b"HTTP/1.1 %d" % status), said[:80]
        assert b"application/problem+json" in said
        assert b"connection: close" in said.lower()
        assert running.server.guarded == 0


def frames(rng: random.Random) -> list[bytes]:
    """What no client sends, one of each kind."""
    return [
        b"\x81\x05hello",  # not masked
        b"\xc1\x80" + MASK,  # a bit of an extension
        b"\x83\x80" + MASK,  # an unknown kind
        b"\x8b\x80" + MASK,
        b"\x80\x80" + MASK,  # a continuation of nothing
        b"\x01\x81" + MASK + b"a" + b"\x81\x81" + MASK + b"b",  # a message inside another
        b"\x89\xfe\x00\x7e" + MASK + b"x" * 126,  # a ping too long
        b"\x09\x80" + MASK,  # a ping in pieces
        b"\x81\x82" + MASK + b"\xff\xff",  # not UTF-8
        b"\x81\xff\x80" + bytes(7) + MASK,  # a length above 2^63
        b"\x81\xff" + (2**40).to_bytes(8, "big") + MASK + b"x" * 100_000,
        b"\x88\x81" + MASK + b"\x03",  # half a code
        b"\x88\x82" + MASK + b"\x00\x01",  # a code that is none
        b"\x88\x84" + MASK + b"\x03\xe8\xff\xff",
        b"\x01\x81" + MASK + b"a" + (b"\x00\x81" + MASK + b"a") * 2000,
        (b"\x89\x80" + MASK) * 1000 + b"\x88\x80" + MASK,
        (b"\x8a\x80" + MASK) * 1000 + b"\x88\x80" + MASK,
        (b"\x01\x80" + MASK + b"\x00\x80" + MASK) + (b"\x00\x80" + MASK) * 3000,
        b"\x81\xfe",
        rng.randbytes(300) + b"\x88\x80" + MASK,
    ]


async def test_frames_of_enemies_end_their_socket_and_nothing_else() -> None:
    rng = random.Random(3)
    async with running_server(limits=with_limits(request_timeout=1.0)) as running:
        before = trio.lowlevel.current_statistics().tasks_living

        async def attack(data: bytes) -> None:
            try:
                async with await running.connect() as stream:
                    await stream.send_all(HEAD + data)
                    await stream.send_eof()
                    with trio.fail_after(60):
                        while await stream.receive_some():
                            pass
            except (OSError, trio.BrokenResourceError):
                pass

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                for data in frames(rng):
                    nursery.start_soon(attack, data)
                for _ in range(20):
                    nursery.start_soon(attack, rng.randbytes(rng.randrange(1, 200)))
        with trio.fail_after(60):
            while running.server.connections:
                await trio.sleep(0.01)
        assert running.server.guarded == 0
        assert trio.lowlevel.current_statistics().tasks_living == before
        async with websocket(running.port) as client:
            assert (await client.ask("hangup"))["problem"]["status"] == 404


async def test_a_peer_that_is_gone_before_it_is_answered() -> None:
    """Whatever the answer would have been: that nobody hears it is no bug of ours."""
    async with running_server() as running:
        for path in (PATH, b"/nowhere", b"/v1/realtime/calls"):
            for origin in (b"", b"Origin: https://evil.example\r\n"):
                for _ in range(10):
                    stream = await running.connect()
                    linger = struct.pack("ii", 1, 0)
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # reset
                    await stream.send_all(
                        HEAD.replace(PATH, path).replace(b"Upg", origin + b"Upg", 1)
                    )
                    await stream.aclose()
        with trio.fail_after(60):
            while running.server.connections:
                await trio.sleep(0.01)
        assert running.server.guarded == 0


async def test_a_frame_behind_the_handshake_is_heard() -> None:
    text = b'{"type":"hangup"}'
    async with running_server() as running:
        frame = b"\x81" + bytes([0x80 | len(text)]) + MASK + text
        said = await answer(running, HEAD + frame + b"\x88\x80" + MASK)
        assert b"unknown-session" in said


async def test_pings_of_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PING_AFTER", 0.1)
    async with running_server() as running, websocket(running.port) as client:
        await client.send_event(Ping(payload=b"x"))
        event = await client.event()
        assert isinstance(event, Pong)
        assert bytes(event.payload) == b"x"
        with trio.move_on_after(0.6):
            await client.hear()
        assert client.pinged > 1
        client.pongs = False
        with pytest.raises(Closed), trio.fail_after(10):
            await client.hear()
        assert running.server.guarded == 0


async def test_a_peer_that_does_not_read_is_let_go() -> None:
    async with running_server(limits=with_limits(request_timeout=0.5)) as running:
        running.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        async with websocket(running.port) as client, trio.open_nursery() as nursery:
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)

            async def talk() -> None:
                with suppress(trio.BrokenResourceError):
                    while True:
                        await client.say("hangup", session="x" * 60)

            nursery.start_soon(talk)
            with trio.fail_after(60):
                while running.server.connections:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert running.server.guarded == 0


async def test_sockets_leave_room_for_requests() -> None:
    async with running_server(limits=with_limits(max_connections=16)) as running:
        clients: list[WebSocketClient] = []

        async def stay(task_status: trio.TaskStatus[None]) -> None:
            async with websocket(running.port) as client:
                clients.append(client)
                task_status.started()
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            for _ in range(11):
                await nursery.start(stay)
            with pytest.raises(Rejected) as rejected:
                async with websocket(running.port):
                    pass
            nursery.cancel_scope.cancel()
        assert rejected.value.status == 503
        assert rejected.value.problem["type"] == "urn:tandem:problem:busy"
        assert int(rejected.value.headers["retry-after"]) > 0


def test_it_is_kept_alive_more_often_than_http() -> None:
    assert transport.PING_AFTER < http1.IDLE_TIMEOUT


class DeafCarrier:
    """A connection whose peer has gone."""

    max_body = 8192

    async def respond(self, status: int, headers: object, body: bytes, *, last: bool) -> None:
        raise PeerGone

    async def switch(self, headers: object) -> bytes:
        raise PeerGone

    async def receive_some(self) -> bytes:
        raise PeerGone

    async def send_all(self, data: bytes) -> None:
        raise PeerGone


@pytest.mark.parametrize("path", ["/v1/realtime/signal", "/nowhere"])
@pytest.mark.parametrize("origin", [b"http://x", b"https://evil.example"])
async def test_nobody_to_answer_is_the_peers_doing(path: str, origin: bytes) -> None:
    headers = [
        (b"host", b"x"),
        (b"origin", origin),
        (b"upgrade", b"websocket"),
        (b"connection", b"upgrade"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    request = h11.Request(method="GET", target=path, headers=headers)
    application = make_application(switchboard_with(FakeTransceivers()))
    exchange = transport.WebSocketExchange(DeafCarrier(), request, scope_of(request, None))
    with pytest.raises(PeerGone):
        await exchange.run(application)
