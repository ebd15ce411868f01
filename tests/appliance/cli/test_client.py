"""Real sockets: an rpc server under trio, the blocking client in a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.cli.client import Line, admin_socket, ask
from appliance.cli.failure import Failed
from config.model import Config
from ipc.messages import Message
from ipc.messages.admin import Failure, SessionsRequest, StatusRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcServer
from ipc.zmq_trio import NotAllowed
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory

__all__ = ["short_directory"]


@asynccontextmanager
async def appliance(socket: Path, reply: Message) -> AsyncIterator[None]:
    async def handler(request: Message) -> Message:
        return reply

    with RpcServer(f"ipc://{socket}", log=LogLines().log) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, handler)
            yield
            nursery.cancel_scope.cancel()


def line(socket: Path) -> Line:
    return Line(f"ipc://{socket}", str(socket))


async def ask_in_thread(socket: Path) -> SessionList:
    return await trio.to_thread.run_sync(ask, line(socket), SessionsRequest(), SessionList)


async def test_the_answer(short_directory: Path) -> None:
    expected = SessionList((), 7)
    async with appliance(short_directory / "a", expected):
        assert await ask_in_thread(short_directory / "a") == expected


async def test_a_failure_is_told(short_directory: Path) -> None:
    async with appliance(short_directory / "a", Failure("no transceiver answered")):
        with pytest.raises(Failed) as caught:
            await ask_in_thread(short_directory / "a")
    assert caught.value.lines == ("tandem: the appliance could not: no transceiver answered",)
    assert caught.value.exit_code == 1


async def test_another_answer_is_another_version(short_directory: Path) -> None:
    async with appliance(short_directory / "a", StatusRequest()):
        with pytest.raises(Failed) as caught:
            await ask_in_thread(short_directory / "a")
    assert "another version" in caught.value.lines[1]


def test_nobody_there(short_directory: Path) -> None:
    with pytest.raises(Failed) as caught:
        ask(line(short_directory / "none"), StatusRequest(), SessionList)
    assert str(short_directory / "none") in caught.value.lines[0]
    assert "tandem run" in caught.value.lines[1]
    assert caught.value.exit_code == 69


def test_a_directory_that_is_named_wins(tmp_path: Path) -> None:
    config = Config.model_validate({"supervisor": {"runtime_directory": "/run/one"}})
    assert admin_socket(config, None) == line(Path("/run/one/admin.sock"))
    assert admin_socket(config, tmp_path) == line(tmp_path / "admin.sock")


def test_an_appliance_of_another_user(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise NotAllowed("/run/tandem/admin.sock: Permission denied")

    monkeypatch.setattr("appliance.cli.client.call_blocking", forbidden)
    with pytest.raises(Failed) as caught:
        ask(line(short_directory / "a"), SessionsRequest(), SessionList)
    assert "another user's" in caught.value.lines[0]
    assert caught.value.exit_code == 69
