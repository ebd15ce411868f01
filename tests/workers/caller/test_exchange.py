"""Where a call is placed and hung up, against a scripted server on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from workers.caller.exchange import Exchange, explain
from workers.http_client import HttpFailed, Response

CREATED = b"HTTP/1.1 201 Created\r\nLocation: %s\r\nContent-Length: 5\r\n\r\nv=0\r\n"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Gives one answer after the other; notes the first line of each request."""
    left, lines = list(answers), list[bytes]()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            lines.append((await stream.receive_some(65536)).partition(b"\r\n")[0])
            await stream.send_all(left.pop(0))

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", lines
        nursery.cancel_scope.cancel()


async def test_a_realtime_call() -> None:
    async with server(CREATED % b"/v1/realtime/calls/rtc_0_x", OK) as (url, lines):
        exchange = Exchange(f"{url}/v1/realtime/calls?model=echo")
        placed = await exchange.place("v=0\r\n")
        assert placed.answer == "v=0\r\n"
        assert placed.resource == f"{url}/v1/realtime/calls/rtc_0_x"
        await exchange.hang_up(placed.resource)
    assert lines == [
        b"POST /v1/realtime/calls?model=echo HTTP/1.1",
        b"POST /v1/realtime/calls/rtc_0_x/hangup HTTP/1.1",
    ]


async def test_whip() -> None:
    async with server(CREATED % b"rtc_0_x", OK) as (url, lines):
        exchange = Exchange(f"{url}/whip/echo")
        placed = await exchange.place("v=0\r\n")
        await exchange.hang_up(placed.resource)
    assert lines == [b"POST /whip/echo HTTP/1.1", b"DELETE /whip/rtc_0_x HTTP/1.1"]


async def test_a_key_is_the_bearer_of_every_request() -> None:
    heads: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            heads.append(await stream.receive_some(65536))
            await stream.send_all(CREATED % b"rtc_0_x" if len(heads) == 1 else OK)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/whip/echo"
        exchange = Exchange(url, key="sk-1")
        await exchange.hang_up((await exchange.place("v=0\r\n")).resource)
        nursery.cancel_scope.cancel()
    assert [head.lower().count(b"authorization: bearer sk-1") for head in heads] == [1, 1]


@pytest.mark.parametrize(
    ("status", "path", "key", "advice"),
    [
        (401, "/whip/echo", "", "TANDEM_API_KEY"),
        (401, "/whip/echo", "sk-1", ""),
        (405, "/", "", "/v1/realtime/calls meant?"),
        (404, "/whip/echo", "", ""),
    ],
)
async def test_what_to_type_instead(status: int, path: str, key: str, advice: str) -> None:
    async with server(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status) as (url, _):
        with pytest.raises(HttpFailed) as caught:
            await Exchange(f"{url}{path}", key=key).place("v=0\r\n")
    said = str(caught.value)
    assert advice in said if advice else said == f"HTTP {status}"


async def test_an_ice_restart() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na=new\r\n"
    async with server(said) as (url, lines):
        assert await Exchange(f"{url}/whip/echo").restart(f"{url}/whip/x", "a=x\r\n") == "a=new\r\n"
    assert lines == [b"PATCH /whip/x HTTP/1.1"]


async def test_an_ice_restart_whose_connection_breaks_is_asked_for_again() -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na=new\r\n"
    async with server(b"", said) as (url, lines):
        assert await Exchange(url).restart(f"{url}/whip/x", "a=x\r\n") == "a=new\r\n"
    assert len(lines) == 2
    async with server(b"", b"") as (url, lines):
        with pytest.raises(HttpFailed, match="without an answer"):
            await Exchange(url).restart(f"{url}/whip/x", "a=x\r\n")
    assert len(lines) == 2


async def test_a_refused_ice_restart_says_that_it_was_one() -> None:
    async with server(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n") as (url, _):
        with pytest.raises(HttpFailed, match="ICE restart: HTTP 412"):
            await Exchange(url).restart(f"{url}/x", "a=x\r\n")


async def test_a_location_that_is_no_url_is_refused() -> None:
    async with server(CREATED % b"http://[::1/x") as (url, _):
        with pytest.raises(HttpFailed, match="Location is no URL"):
            await Exchange(url).place("v=0\r\n")


async def test_an_answer_without_location_is_refused() -> None:
    async with server(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as (url, _):
        with pytest.raises(HttpFailed, match="names no Location"):
            await Exchange(url).place("v=0\r\n")


async def test_a_failed_hang_up_says_that_it_was_one() -> None:
    async with server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as (url, _):
        with pytest.raises(HttpFailed, match="hang-up: HTTP 404"):
            await Exchange(url).hang_up(f"{url}/x")


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (Response(500, {}, b""), "HTTP 500"),
        (Response(502, {}, b"Bad\nGateway"), "HTTP 502: Bad"),
        (Response(400, {}, b'{"title": "t", "detail": "line 3: no"}'), "HTTP 400: line 3: no"),
        (Response(400, {}, b'{"title": "t"}'), "HTTP 400: t"),
        (Response(400, {}, b"[1]"), "HTTP 400: [1]"),
        (
            Response(503, {"retry-after": "5"}, b'{"detail": "full"}'),
            "HTTP 503: full (try again in 5 s)",
        ),
        (Response(400, {}, b"\x1b[31m" + b"x" * 500), "HTTP 400:  [31m" + "x" * 195),
    ],
)
def test_errors_are_told_in_the_servers_own_words(response: Response, text: str) -> None:
    assert explain(response) == text
