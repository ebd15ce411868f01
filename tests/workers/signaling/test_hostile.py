"""Hundreds of hostile connections of every kind we know, at once, with good ones between them."""

from __future__ import annotations

import random
import socket
import struct

import trio

from tests.support.signaling import OFFER, Running, running_server, with_limits

GOOD = (
    b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(OFFER) + OFFER.encode()
)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
H2C = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\n\r\n"
)
CHUNKED = b"POST /whip/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECTIONS = 600


def attacks(rng: random.Random) -> list[bytes]:
    """One of each kind."""
    return [
        b"",
        b"\x16\x03\x01garbage",
        b"\xff" * 70_000,
        rng.randbytes(rng.randrange(1, 400)),
        GOOD[: rng.randrange(1, len(GOOD))],
        GOOD * 5,
        UPGRADE,
        UPGRADE + b"x",
        UPGRADE + rng.randbytes(60),
        UPGRADE + b"\x88\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00trailing",
        UPGRADE.replace(b"/ws", b"/") + b"\x88\x82\0\0\0\0\x03\xe8" + bytes(40),
        H2C,
        H2C + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + rng.randbytes(200),
        b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\nZZ\r\n",
        CHUNKED + b"ffffffffff\r\nx",
        CHUNKED + b"1\r\nx\r\n" * 4000,
        CHUNKED + b"0\r\n" + b"T: x\r\n" * 4000,
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%ff%fe%00%0d%0a HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET // HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [::\r\n\r\n",
        b"POST /whip/%2e%2e%2f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        b"POST /whip/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"DELETE /whip/echo/rtc_7_%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
        b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,  # and never reads
        b"\r\n\r\n",
    ]


async def hostile(running: Running, data: bytes, rng: random.Random) -> None:
    """Connect, send, perhaps read, and leave in one of several rude ways."""
    leaves, reads = rng.choice(["reset", "close", "half", "stay"]), rng.random() < 0.5
    try:
        stream = await running.connect()
        async with stream:
            with trio.move_on_after(30):
                await stream.send_all(data)
            if reads:
                with trio.move_on_after(0.05):
                    await stream.receive_some()
            if leaves == "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif leaves == "half":
                await stream.send_eof()
                with trio.move_on_after(0.2):
                    await stream.receive_some()
            elif leaves == "stay":
                await trio.sleep(rng.random())
    except (OSError, trio.BrokenResourceError):
        pass


async def good(running: Running) -> bytes:
    """The answer to an ordinary offer."""
    async with await running.connect() as stream:
        await stream.send_all(GOOD)
        answer = b""
        while data := await stream.receive_some():
            answer += data
        return answer


async def test_a_server_among_enemies() -> None:
    rng = random.Random(8)
    before = trio.lowlevel.current_statistics().tasks_living
    async with running_server(limits=with_limits(request_timeout=1.0)) as running:
        idle = trio.lowlevel.current_statistics().tasks_living
        slow = [await running.connect() for _ in range(40)]
        for stream in slow:  # slowloris
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A:")
        kinds = len(attacks(rng))
        async with trio.open_nursery() as nursery:
            for number in range(CONNECTIONS):
                data = attacks(rng)[number % kinds]
                nursery.start_soon(hostile, running, data, random.Random(number))
                if number % 60 == 0:
                    assert (await good(running)).startswith(b"HTTP/1.1 201")
        assert (await good(running)).startswith(b"HTTP/1.1 201")
        for stream in slow:  # all are told and closed by the server's own clock
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 408")
            await stream.aclose()
        with trio.fail_after(60):
            while running.server.connections:
                await trio.sleep(0.01)
        assert running.server.guarded == 0
        assert trio.lowlevel.current_statistics().tasks_living == idle
        assert (await good(running)).startswith(b"HTTP/1.1 201")
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_peer_that_never_reads_is_let_go() -> None:
    async with running_server(limits=with_limits(request_timeout=1.0)) as running:
        stream = await running.connect()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with trio.move_on_after(30):
            try:
                while True:
                    await stream.send_all(b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
            except trio.BrokenResourceError:
                pass
        with trio.fail_after(60):
            while running.server.connections:
                await trio.sleep(0.01)
        await stream.aclose()
        assert running.server.guarded == 0
