"""One connection: what HTTP/1.1 peers send, byte by byte, and how long they may take."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.signaling import (
    OFFER,
    FakeTransceivers,
    Running,
    entry,
    running_server,
    switchboard_with,
    with_limits,
)
from workers.http.http1 import IDLE_TIMEOUT, LINGER, HttpConnection
from workers.signaling.app import make_application

GOOD = (
    b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(OFFER) + OFFER.encode()
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def exchange(running: Running, *pieces: bytes) -> bytes:
    """Send these bytes and read until the server closes."""
    stream = await running.connect()
    async with stream:
        received = b""
        try:
            for piece in pieces:
                await stream.send_all(piece)
            while data := await stream.receive_some():
                received += data
        except trio.BrokenResourceError:
            pass
        return received


async def test_requests_on_one_connection_pipelined_or_not() -> None:
    async with running_server() as running:
        last = HEALTH.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close")
        answers = await exchange(running, GOOD + HEALTH, GOOD, last)
        assert answers.count(b"HTTP/1.1 201") == 2
        assert answers.count(b"HTTP/1.1 200") == 2
        assert running.server.responses == {201: 2, 200: 2}


async def test_a_request_in_single_bytes() -> None:
    async with running_server() as running:
        last = HEALTH.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close")
        answers = await exchange(running, *(bytes((byte,)) for byte in last))
        assert b"HTTP/1.1 200" in answers


async def test_http_1_0() -> None:
    async with running_server() as running:
        answer = await exchange(running, b"GET /healthz HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")


async def test_who_says_that_it_sends_nothing_more_is_not_listened_to(
    autojump_clock: trio.testing.MockClock,
) -> None:
    last = HEALTH.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close")
    for pieces, lingers in (([last], 0.0), ([last + b"more"], LINGER)):
        answer, took = await over_memory(*((0.0, piece) for piece in pieces))
        assert answer.startswith(b"HTTP/1.1 200")
        assert took == pytest.approx(lingers)


async def test_absolute_form() -> None:
    async with running_server() as running:
        request = b"GET http://x/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert (await exchange(running, request)).startswith(b"HTTP/1.1 200")


async def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    async with running_server() as running:
        head, _, body = GOOD.partition(b"\r\n\r\n")
        stream = await running.connect()
        async with stream:
            await stream.send_all(head + b"\r\nExpect: 100-continue\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
            await stream.send_all(body)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 201")
        huge = head.replace(b"Content-Length: ", b"Content-Length: 9999")
        answer = await exchange(running, huge + b"\r\nExpect: 100-continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")


async def test_an_early_answer_is_not_lost_to_a_reset() -> None:
    async with running_server() as running:
        head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
        answer = await exchange(running, head + b"x" * 30_000, b"x" * 30_000)
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"connection: close" in answer


async def test_what_is_not_spoken_here() -> None:
    async with running_server() as running:
        for request, status in (
            (b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\nabc", 405),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01garbage\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        ):
            answer = await exchange(running, request)
            assert answer.startswith(b"HTTP/1.1 %d" % status), request[:40]
            assert b"urn:tandem:problem:" in answer
        assert running.server.guarded == 0


async def test_a_websocket_where_there_is_none() -> None:
    upgrade = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with running_server() as running:
        answer = await exchange(running, upgrade + b"\x88\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"urn:tandem:problem:not-found" in answer
        # Whoever does not speak it does not heed it.
        other = upgrade.replace(b"websocket", b"h2c").replace(b": Upgrade", b": Upgrade, close")
        assert (await exchange(running, other)).startswith(b"HTTP/1.1 200")
        assert running.server.guarded == 0


async def test_a_body_in_thousands_of_pieces_is_refused() -> None:
    head = GOOD.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"
    async with running_server() as running:
        answer = await exchange(running, head + b"1\r\nv\r\n" * 5000)
        assert answer.startswith(b"HTTP/1.1 400")


async def over_memory(*pieces: tuple[float, bytes]) -> tuple[bytes, float]:
    """Send each piece after so many seconds; what came back, and when the server closed.

    No socket here, so the clock can jump.
    """
    client, server = trio.testing.memory_stream_pair()
    application = make_application(switchboard_with(FakeTransceivers(), entry(0)))
    connection = HttpConnection(
        server,
        application,
        with_limits(request_timeout=5.0),
        answered=lambda _: None,
        keep_alive=lambda: True,
        peer=("127.0.0.1", 50_000),
    )
    began = trio.current_time()
    answer = bytearray()

    async def serve() -> None:
        await connection.run()
        await server.aclose()

    async def send() -> None:
        for pause, piece in pieces:
            await trio.sleep(pause)
            try:
                await client.send_all(piece)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(send)
        while data := await client.receive_some():
            answer += data
    return bytes(answer), trio.current_time() - began


async def test_a_connection_that_says_nothing_ends(autojump_clock: trio.testing.MockClock) -> None:
    for pieces in ([], [(1.0, b"\r\n"), (1.0, b"\r\n")]):
        answer, took = await over_memory(*pieces)
        assert answer == b""
        assert took == pytest.approx(5.0)


async def test_empty_lines_before_a_request_are_ignored(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answer, _ = await over_memory((0.0, b"\r\n"), (0.0, b"\r\n" + HEALTH))
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost:", GOOD[:100], GOOD[:-1]])
async def test_a_request_that_stops_half_way_ends(
    autojump_clock: trio.testing.MockClock, begun: bytes
) -> None:
    answer, took = await over_memory((1.0, begun))
    assert answer.startswith(b"HTTP/1.1 408")
    assert took == pytest.approx(1.0 + 5.0 + LINGER)


async def test_a_request_that_trickles_in_ends_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answer, took = await over_memory(*((0.5, bytes((byte,))) for byte in GOOD))
    assert answer.startswith(b"HTTP/1.1 408")
    assert took <= 0.5 + 5.0 + LINGER


async def test_a_connection_kept_alive_ends_when_it_is_idle(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answer, took = await over_memory((0.0, HEALTH), (20.0, HEALTH))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert took == pytest.approx(20.0 + IDLE_TIMEOUT)


async def test_a_drained_server_answers_what_is_open_and_returns() -> None:
    async with running_server() as running:
        idle = await running.connect()
        await idle.send_all(HEALTH)
        await idle.receive_some()
        busy = await running.connect()
        await busy.send_all(GOOD[:-1])
        while running.server.connections < 2:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        running.draining.set()
        assert await idle.receive_some() == b""
        await busy.send_all(GOOD[-1:])
        answer = await busy.receive_some()
        assert answer.startswith(b"HTTP/1.1 201")
        assert b"connection: close" in answer
        await busy.aclose()
        await idle.aclose()
        await running.done.wait()


@given(data=st.binary(max_size=400), tail=st.sampled_from([b"", b"\r\n\r\n", GOOD, HEALTH]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_bytes_reach_the_guard(data: bytes, tail: bytes) -> None:
    async with running_server() as running:
        stream = await running.connect()
        await stream.send_all(data + tail)
        await stream.send_eof()
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        await stream.aclose()
        while running.server.connections:
            await trio.lowlevel.checkpoint()
        assert running.server.guarded == 0
