"""Calls that are answered, fail, time out, pile up, and survive the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from config.ids import SessionId
from ipc.codec import MAX_MESSAGE, CodecError, encode
from ipc.lost import Lost
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.sessions import (
    CreateSession,
    EndSession,
    SessionCreated,
    SessionEnded,
)
from ipc.rpc import Handler, RpcClient, RpcFailed, RpcServer, RpcTimeout, call_blocking
from ipc.zmq_trio import EndpointInUse, Pattern, Unreachable, ZmqSocket
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory

directory = short_directory


@pytest.fixture
def endpoint(directory: Path) -> str:
    return f"ipc://{directory}/t.rpc"


@pytest.fixture
def lines() -> Iterator[LogLines]:
    lines = LogLines()
    yield lines
    lines.close()


@asynccontextmanager
async def serving(server: RpcServer, handler: Handler) -> AsyncIterator[None]:
    with server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, handler)
            yield
            nursery.cancel_scope.cancel()


async def ended(request: Message) -> Message:
    assert isinstance(request, EndSession)
    await trio.lowlevel.checkpoint()
    return SessionEnded(session=request.session)


def end(name: str) -> EndSession:
    return EndSession(session=SessionId(name))


DONE = {name: SessionEnded(session=SessionId(name)) for name in ("x", "good")}


async def test_many_calls_at_once_each_get_their_own_reply(endpoint: str, lines: LogLines) -> None:
    async def slower_for_early_ones(request: Message) -> Message:
        assert isinstance(request, EndSession)
        await trio.sleep((100 - int(request.session)) * 0.0003)
        return SessionEnded(session=request.session)

    got: dict[int, Message] = {}
    async with serving(RpcServer(endpoint, log=lines.log), slower_for_early_ones):
        with RpcClient(endpoint) as client:

            async def call(number: int) -> None:
                got[number] = await client.call(end(str(number)), within=10)

            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(call, number)
    assert got == {n: SessionEnded(session=SessionId(str(n))) for n in range(100)}
    assert client.late == 0


async def test_calls_that_give_up_do_not_take_the_turn_to_read_with_them(
    endpoint: str, lines: LogLines
) -> None:
    release = trio.Event()

    async def handler(request: Message) -> Message:
        assert isinstance(request, EndSession)
        if request.session == "never":
            await trio.sleep_forever()
        if request.session == "held":
            await release.wait()
        return SessionEnded(session=request.session)

    got: list[Message] = []
    async with serving(RpcServer(endpoint, log=lines.log), handler):
        with RpcClient(endpoint) as client:

            async def give_up() -> None:
                with pytest.raises(RpcTimeout, match=r"no reply to EndSession within 0\.05 s"):
                    await client.call(end("never"), within=0.05)

            async def hold() -> None:
                got.append(await client.call(end("held"), within=10))

            with trio.fail_after(8):
                async with trio.open_nursery() as nursery:
                    async with trio.open_nursery() as inner:
                        for _ in range(5):
                            inner.start_soon(give_up)
                            nursery.start_soon(hold)
                    release.set()
    assert got == [SessionEnded(session=SessionId("held"))] * 5


async def test_a_reply_after_the_deadline_is_dropped_and_counted(
    endpoint: str, lines: LogLines
) -> None:
    release = trio.Event()

    async def handler(request: Message) -> Message:
        if request == end("slow"):
            await release.wait()
        return await ended(request)

    async with serving(RpcServer(endpoint, log=lines.log), handler):
        with RpcClient(endpoint) as client:
            with pytest.raises(RpcTimeout):
                await client.call(end("slow"), within=0.05)
            release.set()
            assert await client.call(end("next"), within=5) == SessionEnded(
                session=SessionId("next")
            )
            while not client.late:
                await client.call(end("next"), within=5)
    assert client.late == 1


async def test_an_exception_becomes_a_failure_and_a_log_line_and_the_server_goes_on(
    endpoint: str, lines: LogLines
) -> None:
    async def handler(request: Message) -> Message:
        if request == end("bad"):
            raise KeyError("no such thing")
        if request == end("huge"):
            return SessionCreated(session=SessionId("x"), answer="x" * MAX_MESSAGE)
        return await ended(request)

    server = RpcServer(endpoint, log=lines.log)
    async with serving(server, handler):
        with RpcClient(endpoint) as client:
            with pytest.raises(RpcFailed, match="EndSession: KeyError: 'no such thing'"):
                await client.call(end("bad"), within=5)
            with pytest.raises(RpcFailed, match="CodecError: SessionCreated: "):
                await client.call(end("huge"), within=5)
            with pytest.raises(CodecError):
                await client.call(CreateSession(offer="x" * MAX_MESSAGE), within=5)
            assert await client.call(end("good"), within=5) == DONE["good"]
    assert server.lost[Lost.REQUEST_FAILED] == 2
    assert lines.events() == ["request failed", "request failed"]
    assert "KeyError" in lines.lines()[0]["exception"]


async def test_overload_is_answered_at_once(endpoint: str, lines: LogLines) -> None:
    release = trio.Event()

    async def handler(request: Message) -> Message:
        await release.wait()
        return await ended(request)

    outcomes: list[str] = []
    server = RpcServer(endpoint, log=lines.log, limit=3)
    async with serving(server, handler):
        with RpcClient(endpoint) as client:

            async def call() -> None:
                try:
                    await client.call(end("x"), within=10)
                    outcomes.append("done")
                except RpcFailed as error:
                    outcomes.append(str(error).partition(":")[0])
                    if len(outcomes) == 7:
                        release.set()

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(call)
    assert outcomes == ["overloaded"] * 7 + ["done"] * 3
    assert server.lost[Lost.REQUEST_OVERLOADED] == 7


async def test_a_client_bounds_its_own_calls(endpoint: str) -> None:
    with RpcClient(endpoint, limit=2) as client:

        async def call() -> None:
            await client.call(end("x"), within=60)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(RpcFailed, match="2 calls wait already"):
                await call()
            nursery.cancel_scope.cancel()


async def test_a_handler_that_hangs_is_ended(endpoint: str, lines: LogLines) -> None:
    async def handler(_request: Message) -> Message:
        await trio.sleep_forever()
        raise AssertionError

    server = RpcServer(endpoint, log=lines.log, within=0.05)
    async with serving(server, handler):
        with (
            RpcClient(endpoint) as client,
            pytest.raises(RpcFailed, match=r"not done within 0\.05"),
        ):
            await client.call(end("x"), within=5)
    assert server.lost[Lost.REQUEST_FAILED] == 1
    assert lines.events() == ["request took too long"]


async def test_malformed_requests_are_counted_and_never_stop_the_server(
    endpoint: str, lines: LogLines
) -> None:
    server = RpcServer(endpoint, log=lines.log)
    async with serving(server, ended):
        with ZmqSocket(Pattern.DEALER) as raw, RpcClient(endpoint) as client, trio.fail_after(5):
            raw.connect(endpoint)
            for frames in (
                [b""],
                [b"x" * 16],
                [b"x" * 16, b"garbage"],
                [b"x", encode(end("x"))],
                [b"x"] * 50,
                [b"x" * 16, b"x" * MAX_MESSAGE],
            ):
                await raw.send(frames)
            assert await raw.receive() == [
                b"x" * 16,
                encode(Failure(why="malformed request: Expected `object`, got `int`")),
            ]
            await raw.receive()
            assert await client.call(end("x"), within=5) == DONE["x"]
    assert server.lost[Lost.REQUEST_MALFORMED] == 6
    assert lines.events() == []


async def test_calls_ride_through_a_restart_of_the_server(endpoint: str, lines: LogLines) -> None:
    served: list[Message] = []

    async def handler(request: Message) -> Message:
        served.append(request)
        return await ended(request)

    with RpcClient(endpoint) as client:
        with pytest.raises(RpcTimeout):
            await client.call(end("nobody is there yet"), within=0.05)
        for _ in range(3):
            async with serving(RpcServer(endpoint, log=lines.log), handler):
                assert await client.call(end("x"), within=10) == DONE["x"]
            with pytest.raises(RpcTimeout):
                await client.call(end("between"), within=0.05)
    assert served == [end("x")] * 3, "what nobody waits for any more is not done"
    with pytest.raises(trio.ClosedResourceError):
        await client.call(end("x"), within=1)


async def test_closing_a_client_ends_its_calls(endpoint: str, lines: LogLines) -> None:
    async def handler(_request: Message) -> Message:
        await trio.sleep_forever()
        raise AssertionError

    async with serving(RpcServer(endpoint, log=lines.log), handler):
        client = RpcClient(endpoint)

        async def call() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.call(end("x"), within=60)

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked(0.05)
                client.close()


async def test_two_servers_cannot_have_one_end_point(endpoint: str, lines: LogLines) -> None:
    with RpcServer(endpoint, log=lines.log), pytest.raises(EndpointInUse):
        RpcServer(endpoint, log=lines.log)


async def test_the_blocking_call_of_the_command_line(endpoint: str, lines: LogLines) -> None:
    with pytest.raises(Unreachable):
        call_blocking(endpoint, end("x"), 5)

    async def handler(request: Message) -> Message:
        if request == end("bad"):
            raise ValueError("wrong")
        if request == end("never"):
            await trio.sleep_forever()
        return await ended(request)

    async with serving(RpcServer(endpoint, log=lines.log, mode=0o660), handler):
        blocking = trio.to_thread.run_sync
        assert await blocking(call_blocking, endpoint, end("x"), 5.0) == SessionEnded(
            session=SessionId("x")
        )
        with pytest.raises(RpcFailed, match="wrong"):
            await blocking(call_blocking, endpoint, end("bad"), 5.0)
        with pytest.raises(RpcTimeout):
            await blocking(call_blocking, endpoint, end("never"), 0.05)


async def test_the_reply_that_ends_a_server_still_arrives(endpoint: str, lines: LogLines) -> None:
    answered = trio.Event()

    async def last(_request: Message) -> Message:
        answered.set()
        return DONE["x"]  # without a checkpoint: handed over before anybody wakes

    async def serve(server: RpcServer) -> None:
        with pytest.RaisesGroup(trio.ClosedResourceError):
            await server.serve(last)

    with RpcClient(endpoint) as client, RpcServer(endpoint, log=lines.log) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, server)
            nursery.start_soon(client.call, end("x"), 5)
            await answered.wait()
            time.sleep(0.05)  # the reply arrives, and whoever waits for it is not awake
            server.close()
            time.sleep(0.05)  # the connection goes, and he still is not
