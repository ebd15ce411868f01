"""The line to transceivers over real rpc: answers, silence, bugs, restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from config.ids import SessionId
from ipc.messages import Message
from ipc.messages.routes import Routes
from ipc.messages.sessions import CreateSession, SessionCreated
from ipc.rpc import Handler, RpcServer
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory
from workers.http.problems import ProblemKind, Refused
from workers.signaling.line import RpcLine
from workers.signaling.switchboard import NoAnswer

directory = short_directory
OFFER = CreateSession(offer="v=0")


@pytest.fixture
def rpc(directory: Path) -> str:
    return f"ipc://{directory}/t.rpc"


@pytest.fixture
def lines() -> Iterator[LogLines]:
    lines = LogLines()
    yield lines
    lines.close()


@asynccontextmanager
async def transceiver(rpc: str, lines: LogLines, handler: Handler) -> AsyncIterator[None]:
    with RpcServer(rpc, log=lines.log) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, handler)
            yield
            nursery.cancel_scope.cancel()


async def creates(request: Message) -> Message:
    assert isinstance(request, CreateSession)
    return SessionCreated(SessionId("rtc_0_x"), request.offer)


async def says_something_else(_: Message) -> Message:
    return Routes(serial=1, routes=())


async def has_a_bug(_: Message) -> Message:
    raise ZeroDivisionError("a secret of ours")


async def test_an_answer_again_after_a_restart(rpc: str, lines: LogLines) -> None:
    """Each boot of a transceiver has an end point of its own; the old one is let go."""
    with RpcLine() as line:
        for boot in range(2):
            endpoint = f"{rpc}.{boot}"
            line.keep(frozenset({endpoint}), {})
            async with transceiver(endpoint, lines, creates):
                reply = await line.call(endpoint, OFFER, within=30)
                assert reply == SessionCreated(SessionId("rtc_0_x"), "v=0")


@pytest.mark.parametrize("handler", [says_something_else, has_a_bug])
async def test_what_is_no_answer(rpc: str, lines: LogLines, handler: Handler) -> None:
    async with transceiver(rpc, lines, handler):
        with RpcLine() as line, pytest.raises(NoAnswer) as no_answer:
            await line.call(rpc, OFFER, within=30)
    assert "secret" not in str(no_answer.value)


async def test_silence_names_the_time_and_not_our_paths(rpc: str) -> None:
    with RpcLine() as line, pytest.raises(NoAnswer) as no_answer:
        await line.call(rpc, OFFER, within=0.01)
    assert str(no_answer.value) == "no reply within 0.01 s"


async def test_an_offer_that_fits_no_message(rpc: str) -> None:
    with RpcLine() as line, pytest.raises(Refused) as refused:
        await line.call(rpc, CreateSession(offer="x" * (2 << 20)), within=30)
    assert refused.value.kind is ProblemKind.TOO_LARGE


async def test_calls_on_a_line_that_is_let_go_end(rpc: str) -> None:
    with RpcLine() as line:
        ended = trio.Event()

        async def call() -> None:
            with pytest.raises(NoAnswer, match="gone"):
                await line.call(rpc, OFFER, within=30)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            line.keep(frozenset(), {})
            await ended.wait()
