"""A relay's line to the flow cache, against a desk that answers, is slow, or is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from ipc.messages import Message
from ipc.messages.fleet import CacheReply, CacheRequest
from ipc.rpc import RpcServer
from tests.support.quiet_log import LogLines
from workers.relay import line as module
from workers.relay.core.interface import CacheSeen, ForgetRoute, KeepRoute, LookUp, RouteFound
from workers.relay.line import CacheLine, pack_key
from workers.wire.link import encode_intro

ROUTE = Route(ClusterId(1), TransceiverId(2), Epoch(3))
Heard = list[CacheSeen | RouteFound]


def key(n: int = 1) -> FlowKey:
    return FlowKey(Transport.UDP, Endpoint("192.0.2.1", n), Endpoint("2001:db8::1", 3478))


@asynccontextmanager
async def talking(endpoint: str) -> AsyncIterator[tuple[CacheLine, Heard]]:
    heard: Heard = []
    line = CacheLine(endpoint, heard.extend)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.serve)
        yield line, heard
        nursery.cancel_scope.cancel()


async def until(heard: Heard, wanted: object) -> None:
    with trio.fail_after(10):
        while wanted not in heard:
            await trio.sleep(0.005)


def test_a_key_is_what_an_introduction_begins_with() -> None:
    assert pack_key(key()) == encode_intro(key(), b"")


async def test_what_is_said_and_asked_goes_in_one(tmp_path: Path) -> None:
    asked: list[CacheRequest] = []

    async def answer(request: Message) -> Message:
        assert isinstance(request, CacheRequest)
        asked.append(request)
        return CacheReply(
            True, 5, tuple(ROUTE if n % 2 else None for n, _ in enumerate(request.find))
        )

    endpoint = f"ipc://{tmp_path}/c"
    async with trio.open_nursery() as nursery, talking(endpoint) as (line, heard):
        with RpcServer(endpoint, log=LogLines().log) as server:
            nursery.start_soon(server.serve, answer)
            await until(heard, CacheSeen(True, 5))
            asked.clear()
            line.take(KeepRoute(key(1), ROUTE))
            line.take(ForgetRoute(key(2)))
            line.take(KeepRoute(key(3), ROUTE))
            line.take(ForgetRoute(key(3)))
            for n in (4, 5):
                line.take(LookUp(key(n)))
            await until(heard, RouteFound(key(5), ROUTE))
            assert RouteFound(key(4), None) in heard
            nursery.cancel_scope.cancel()
    spoken = next(request for request in asked if request.find)
    assert spoken.keep == ((pack_key(key(1)), ROUTE),)
    assert spoken.forget == (pack_key(key(2)), pack_key(key(3)))


async def test_nobody_there_is_nobody_there(tmp_path: Path) -> None:
    async with talking(f"ipc://{tmp_path}/c") as (line, heard):
        line.take(KeepRoute(key(), ROUTE))
        await until(heard, CacheSeen(False))
        assert line.lost["unwritten"] == 1


async def test_an_answer_of_the_wrong_length_answers_nothing(tmp_path: Path) -> None:
    async def answer(request: Message) -> Message:
        return CacheReply(True, 1, (ROUTE, ROUTE, ROUTE))

    endpoint = f"ipc://{tmp_path}/c"
    async with trio.open_nursery() as nursery, talking(endpoint) as (line, heard):
        with RpcServer(endpoint, log=LogLines().log) as server:
            nursery.start_soon(server.serve, answer)
            line.take(LookUp(key()))
            await until(heard, CacheSeen(True, 1))
            assert not any(isinstance(each, RouteFound) for each in heard)
            nursery.cancel_scope.cancel()


async def test_what_there_is_no_room_for_is_counted() -> None:
    line = CacheLine("ipc:///nowhere", lambda event: None)
    for n in range(module.MOST + 3):
        client = Endpoint(f"10.0.{n >> 8}.{n & 255}", 5)
        line.take(LookUp(key()._replace(client=client)))
        line.take(KeepRoute(key()._replace(client=client), ROUTE))
    assert line.lost == {"unasked": 3, "unwritten": 3}
