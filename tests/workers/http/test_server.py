"""All places are taken by who does not go on: there is one for who does."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.support.signaling import OFFER, running_server, with_limits

PLACES = 4
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
POST = b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"

CALL = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(OFFER) + OFFER.encode()


async def answer(port: int) -> bytes:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(HEALTH)
        return b"".join([data async for data in stream])


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", POST + b"Content-Length: 9\r\n\r\nv=0"])
async def test_slow_ones_make_room_for_who_comes(begun: bytes) -> None:
    limits = with_limits(max_connections=PLACES, request_timeout=300.0)
    async with running_server(limits=limits) as running:
        slow = [await trio.open_tcp_stream("127.0.0.1", running.port) for _ in range(3 * PLACES)]
        for stream in slow:
            await stream.send_all(begun)
        with trio.fail_after(60):
            for _ in range(3):
                assert (await answer(running.port)).startswith(b"HTTP/1.1 200 ")
        assert running.server.connections <= PLACES
        assert running.server.evicted >= 3 * PLACES - PLACES + 1
        assert running.server.guarded == 0
        for stream in slow:
            await stream.aclose()


async def test_who_has_asked_is_answered_though_others_come() -> None:
    limits = with_limits(max_connections=PLACES, request_timeout=300.0)
    async with running_server(limits=limits) as running:
        running.transceivers.delay = 0.3
        asked = [await trio.open_tcp_stream("127.0.0.1", running.port) for _ in range(PLACES)]
        for stream in asked:
            await stream.send_all(CALL)
        while running.server.connections < PLACES:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        late = [await trio.open_tcp_stream("127.0.0.1", running.port) for _ in range(2 * PLACES)]
        with trio.fail_after(60):
            for stream in asked:
                assert (await stream.receive_some(64)).startswith(b"HTTP/1.1 201 ")
        for stream in (*asked, *late):
            await stream.aclose()
