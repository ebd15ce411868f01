"""The client against a scripted server on a real socket: it must survive whatever that says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from workers.http_client import MAX_BODY, HttpFailed, Response, request


@asynccontextmanager
async def server(answer: bytes, heard: bytearray | None = None) -> AsyncIterator[str]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            received = await stream.receive_some(65536)
            while b"\r\n\r\nv=0" not in received and b"Content-Length: 0" not in received:
                received += await stream.receive_some(65536)
            if heard is not None:
                heard.extend(received)
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def post(url: str) -> Response:
    return await request(
        "POST", url, headers={"Content-Type": "application/sdp"}, body=b"v=0\r\n", within=5
    )


async def test_an_answer_is_read() -> None:
    heard = bytearray()
    answer = b"HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc"
    async with server(answer, heard) as url:
        response = await post(url + "/whip/echo?a=b")
    assert response == Response(201, {"location": "/x", "content-length": "3"}, b"abc")
    assert heard.startswith(b"POST /whip/echo?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Length: 5\r\n" in heard
    assert heard.endswith(b"\r\n\r\nv=0\r\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "without an answer"),
        (b"hello\r\n\r\n", "bad HTTP answer"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 30\r\n\r\nabc", "bad HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_BODY + 1), "longer than"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "bad HTTP answer"),
    ],
)
async def test_a_bad_answer_is_one_error_with_a_reason(answer: bytes, why: str) -> None:
    async with server(answer) as url:
        with pytest.raises(HttpFailed, match=why):
            await post(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "http://", "nonsense", "http://h:99999/", "http://[::1/", "http://a..b/"],
)
async def test_a_bad_url_is_said(url: str) -> None:
    with pytest.raises(HttpFailed, match=r"URL|host name"):
        await post(url)


async def test_odd_characters_in_a_path_are_encoded() -> None:
    heard = bytearray()
    async with server(b"HTTP/1.1 204 No Content\r\n\r\n", heard) as url:
        assert (await post(f"{url}/a b/ü%20?q=\x7f")).status == 204
    assert heard.startswith(b"POST /a%20b/%C3%BC%20?q=%7F HTTP/1.1\r\n")


async def test_https_to_a_port_without_it() -> None:
    async def answer_in_clear(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer_in_clear, listeners)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(HttpFailed, match="no TLS there"):
            await post(f"https://127.0.0.1:{port}/")
        nursery.cancel_scope.cancel()


async def test_a_name_that_is_none() -> None:
    with pytest.raises(HttpFailed, match=r"no\.such\.host\.invalid:80: [A-Za-z]"):
        await post("http://no.such.host.invalid:80/")


async def test_nobody_there() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(HttpFailed, match=f"127.0.0.1:{port}: Connection refused"):
        await post(f"http://127.0.0.1:{port}/")


async def test_silence_ends_at_the_deadline() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(HttpFailed, match=r"no HTTP answer within 0.05 s"):
        await request("GET", f"http://127.0.0.1:{port}/", headers={}, within=0.05)
    await listeners[0].aclose()
