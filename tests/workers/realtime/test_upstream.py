"""The WebSocket, against a real one; and what is wrong with servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping

from tests.support.realtime_server import realtime_server
from workers.realtime import upstream as module
from workers.realtime.upstream import Server, Upstream, UpstreamFailed, find_server, open_upstream


@pytest.mark.parametrize(
    ("url", "model", "server", "authority"),
    [
        (
            "ws://h:9000/v1/realtime",
            "m",
            Server("h", 9000, False, "/v1/realtime?model=m"),
            "h:9000",
        ),
        ("wss://h", "", Server("h", 443, True, "/"), "h"),
        ("wss://h/x?model=a", "b", Server("h", 443, True, "/x?model=a"), "h"),
        ("wss://h/x?y=1", "a b", Server("h", 443, True, "/x?y=1&model=a%20b"), "h"),
        ("ws://[::1]:80/", "", Server("::1", 80, False, "/"), "[::1]"),
    ],
)
def test_where_a_server_is(url: str, model: str, server: Server, authority: str) -> None:
    assert find_server(url, model) == server
    assert server.authority == authority


@asynccontextmanager
async def opened(url: str, key: str = "") -> AsyncIterator[Upstream]:
    upstream = await open_upstream(find_server(url, "m"), key)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.write)
            yield upstream
            nursery.cancel_scope.cancel()
    finally:
        await upstream.close()


async def test_events_pass_both_ways_and_it_says_goodbye() -> None:
    async with realtime_server() as server:
        async with opened(server.url, "secret") as upstream:
            line = await server.line()
            assert line.target == "/v1/realtime?model=m"
            assert line.authorization == "Bearer secret"
            assert '"session.created"' in await upstream.receive()
            await upstream.send('{"type":"response.create"}')
            await line.until("response.create")
            large = '{"type":"x","y":"' + "é" * 300_000 + '"}'
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.send_text, large)
                assert await upstream.receive() == large
            await line.transmit(Ping(payload=b"?"))
            await line.send_text("after")
            assert await upstream.receive() == "after"
        with trio.fail_after(10):
            while line.closed is None:
                await trio.sleep(0.01)
        assert line.closed == 1000
        assert not server.problems


async def test_without_a_key_there_is_no_header() -> None:
    async with realtime_server() as server, opened(server.url):
        assert (await server.line()).authorization == ""


async def test_a_server_that_refuses() -> None:
    async with realtime_server() as server:
        server.status = 401
        with pytest.raises(UpstreamFailed, match="401") as failed:
            await open_upstream(find_server(server.url, ""), "wrong")
        assert failed.value.code == "upstream_refused"


async def test_nobody_there() -> None:
    with pytest.raises(UpstreamFailed) as failed:
        await open_upstream(find_server("ws://127.0.0.1:1/", ""), "")
    assert failed.value.code == "upstream_unreachable"


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 200 OK\r\n\r\nhello", b"SSH-2.0-x\r\n\r\n", b"", b"\0" * 2000]
)
async def test_a_server_that_speaks_something_else(reply: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        with pytest.raises(UpstreamFailed):
            await open_upstream(find_server(f"ws://127.0.0.1:{port}/", ""), "")
        nursery.cancel_scope.cancel()


async def test_a_server_that_never_answers(autojump_clock: trio.testing.MockClock) -> None:
    near, _far = trio.testing.memory_stream_pair()
    upstream = Upstream(near, WSConnection(ConnectionType.CLIENT))
    with pytest.raises(trio.TooSlowError), trio.fail_after(module.CONNECT_WITHIN):
        await upstream.shake_hands(Server("h", 80, False, "/"), [])


async def test_a_server_that_takes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    near, _far = trio.testing.lockstep_stream_pair()
    upstream = await _accepted(near, _far)
    await upstream.send("never taken")
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.write()
    assert failed.value.code == "upstream_slow"


async def test_a_server_that_falls_silent(autojump_clock: trio.testing.MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    upstream = await _accepted(near, far)
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.stay_alive()
    assert failed.value.code == "upstream_silent"


async def _accepted(near: trio.abc.Stream, far: trio.abc.Stream) -> Upstream:
    upstream = Upstream(near, WSConnection(ConnectionType.CLIENT))
    server = WSConnection(ConnectionType.SERVER)

    async def accept() -> None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += await far.receive_some(65_536)
        server.receive_data(data)
        await far.send_all(server.send(AcceptConnection()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await upstream.shake_hands(Server("h", 80, False, "/"), [])
    return upstream


@pytest.mark.parametrize(
    ("misdeed", "code", "why"),
    [
        (
            lambda line: line.transmit(CloseConnection(code=1011, reason="out\nof memory")),
            "upstream_closed",
            "1011 outof memory",
        ),
        (lambda line: line.transmit(BytesMessage(data=b"x")), "upstream_violation", "no text"),
        (
            lambda line: line.stream.send_all(b"\xff\xff\xff\xff"),
            "upstream_closed",
            "1002",
        ),
        (lambda line: line.stream.aclose(), "upstream_closed", "1006"),
        (
            lambda line: line.send_text("x" * (module.MAX_MESSAGE + 1)),
            "upstream_violation",
            "large",
        ),
    ],
)
async def test_a_server_that_misbehaves_or_leaves(
    misdeed: Callable[[object], Awaitable[None]], code: str, why: str
) -> None:
    async def do() -> None:
        try:
            await misdeed(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # we have hung up first

    async with realtime_server() as server, opened(server.url) as upstream:
        line = await server.line()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(do)
            await upstream.receive()  # session.created
            with pytest.raises(UpstreamFailed, match=why) as failed, trio.fail_after(10):
                await upstream.receive()
            nursery.cancel_scope.cancel()
        assert failed.value.code == code
