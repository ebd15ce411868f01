"""`tandem status` and `tandem sessions` as programs, against a real admin socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ipc.messages import Message
from ipc.messages.admin import Failure, SessionsRequest, StatusReply, StatusRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcServer
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory

__all__ = ["short_directory"]

STATUS = StatusReply("0.1.0", 42, "ready", 5.0, "http://127.0.0.1:8080/", (), (), ())


async def tandem(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(
        [sys.executable, "-m", "appliance.cli.main", *arguments],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


async def answer(request: Message) -> Message:
    match request:
        case StatusRequest():
            return STATUS
        case SessionsRequest():
            return SessionList((), request.limit)
        case _:
            return Failure("not asked here")


async def test_answers_of_a_running_appliance(short_directory: Path) -> None:
    config = short_directory / "t.toml"
    config.write_text(f"[supervisor]\nruntime_directory = '{short_directory}'\n")
    with RpcServer(f"ipc://{short_directory}/admin.sock", log=LogLines().log) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, answer)
            status = await tandem("status", "-c", str(config))
            as_json = await tandem("status", "--json", "--runtime-directory", str(short_directory))
            sessions = await tandem("sessions", "-c", str(config), "--limit", "7", "--json")
            nursery.cancel_scope.cancel()
    assert status.returncode == as_json.returncode == sessions.returncode == 0
    assert b"ready for 5s, process 42" in status.stdout
    assert json.loads(as_json.stdout)["page"] == "http://127.0.0.1:8080/"
    assert json.loads(sessions.stdout) == {"rows": [], "total": 7}


@pytest.mark.parametrize("verb", ["status", "sessions", "workers", "flows"])
async def test_no_appliance_is_exit_code_69(verb: str, short_directory: Path) -> None:
    done = await tandem(verb, "--runtime-directory", str(short_directory))
    assert done.returncode == 69
    assert done.stdout == b""
    assert b"Is it running? Start it with: tandem run" in done.stderr


async def test_a_socket_that_nobody_serves_any_more(short_directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_directory / "admin.sock"))
    done = await tandem("status", "--runtime-directory", str(short_directory))
    assert done.returncode == 69
    assert b"no appliance answers" in done.stderr
