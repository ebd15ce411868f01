"""CURVE for real: who is let in, who is not, and that nobody is without a door."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import pytest
import trio

from ipc import rpc
from ipc.curve import ClientCurve, KeyPair
from ipc.door import Door
from ipc.messages import Message
from ipc.messages.admin import SessionsRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcServer, RpcTimeout, call_blocking
from ipc.zmq_trio import EndpointError, NotAllowed, make_key_pair
from tests.support.quiet_log import LogLines

SERVER, ALICE, MALLORY = make_key_pair(), make_key_pair(), make_key_pair()


@pytest.fixture
def endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"tcp://127.0.0.1:{port}"


async def answer(request: Message) -> Message:
    return SessionList((), 7)


@asynccontextmanager
async def guarded(
    endpoint: str, lines: LogLines, clients: dict[str, str], *, door: bool = True
) -> AsyncIterator[None]:
    with (
        RpcServer(endpoint, log=lines.log, secret=SERVER.secret) as server,
        Door(lambda: clients, lines.log) if door else nullcontext() as guard,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, answer)
            if guard is not None:
                nursery.start_soon(guard.serve)
            yield
            nursery.cancel_scope.cancel()


async def ask(
    endpoint: str, own: KeyPair, server: str = SERVER.public, within: float = 10
) -> Message:
    curve = ClientCurve(own, server)
    return await trio.to_thread.run_sync(call_blocking, endpoint, SessionsRequest(), within, curve)


async def test_who_is_known_is_let_in_and_others_are_told_no(endpoint: str) -> None:
    lines, clients = LogLines(), {"alice": ALICE.public}
    async with guarded(endpoint, lines, clients):
        assert await ask(endpoint, ALICE) == SessionList((), 7)
        with pytest.raises(NotAllowed):
            await ask(endpoint, MALLORY)
        with pytest.raises((NotAllowed, RpcTimeout)):
            await ask(endpoint, ALICE, server=MALLORY.public, within=2)
        # Who is known is asked anew for every connection.
        clients["mallory"] = MALLORY.public
        assert await ask(endpoint, MALLORY) == SessionList((), 7)
        del clients["alice"]
        with pytest.raises(NotAllowed):
            await ask(endpoint, ALICE)
    known = [line.get("name") for line in lines.lines() if line["event"] == "operator connected"]
    assert known == ["alice", "mallory"]
    assert lines.events().count("operator refused") >= 2
    lines.close()


async def test_without_a_door_nobody_comes_in(endpoint: str) -> None:
    lines = LogLines()
    async with guarded(endpoint, lines, {"alice": ALICE.public}, door=False):
        with pytest.raises((NotAllowed, RpcTimeout)):
            await ask(endpoint, ALICE, within=1)
    lines.close()


async def test_plain_text_and_noise_are_not_answered_and_harm_nobody(endpoint: str) -> None:
    lines = LogLines()
    host, port = endpoint.removeprefix("tcp://").split(":")
    async with guarded(endpoint, lines, {"alice": ALICE.public}):
        with pytest.raises((NotAllowed, RpcTimeout)):
            await trio.to_thread.run_sync(call_blocking, endpoint, SessionsRequest(), 1.0)
        for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" + bytes(8) + b"\x7f" * 500):
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(noise)
        assert await ask(endpoint, ALICE) == SessionList((), 7)
    lines.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_crowd_of_strangers_never_takes_all_descriptors(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libzmq has no bound of its own, and aborts the process when there is none left."""
    monkeypatch.setattr(rpc, "MAX_CONNECTIONS", 20)
    lines = LogLines()
    host, port = endpoint.removeprefix("tcp://").split(":")
    async with guarded(endpoint, lines, {"alice": ALICE.public}):
        assert await ask(endpoint, ALICE) == SessionList((), 7)
        before, crowd = descriptors(), []
        for _ in range(200):
            with suppress(OSError):
                crowd.append(await trio.open_tcp_stream(host, int(port)))
        with trio.fail_after(30):
            while descriptors() - before - len(crowd) > 2 * 20:
                await trio.sleep(0.01)
            while "too many connections; all were closed" not in lines.events():
                await trio.sleep(0.01)
        for stranger in crowd:
            await stranger.aclose()
        assert await ask(endpoint, ALICE) == SessionList((), 7)
    lines.close()


def test_tcp_without_curve_is_refused(endpoint: str) -> None:
    lines = LogLines()
    with pytest.raises(EndpointError, match="only with CURVE"):
        RpcServer(endpoint, log=lines.log)
    lines.close()


async def test_there_is_one_door(endpoint: str) -> None:
    lines = LogLines()
    with Door(dict, lines.log), pytest.raises(EndpointError):
        Door(dict, lines.log)
    lines.close()


async def test_there_can_be_another_as_soon_as_it_is_closed() -> None:
    lines = LogLines()
    for _ in range(200):
        with Door(dict, lines.log):
            pass
    lines.close()
