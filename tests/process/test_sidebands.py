"""An application with the official openai package beside a client's call, on a real appliance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.access import KEY, OTHER_KEY, line
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.child import child
from tests.support.live_calls import live_calls
from tests.support.peers import reachable
from tests.support.realtime_server import realtime_server
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory

pytestmark = pytest.mark.process
directory = short_directory

ECHO_SERVICE = TREE / "tests/process/echo_service.py"
OUTPUT: Any = {"type": "function_call_output", "call_id": "call_1", "output": '{"price": 7}'}


class Caller:
    """A client with a data channel."""

    def __init__(self, process: trio.Process) -> None:
        self.call = ""
        self._process = process
        self._rest = b""

    async def hear(self, kind: str = "") -> dict[str, Any]:
        """Its next event, of that kind if one is given."""
        assert self._process.stdout is not None
        with trio.fail_after(60):
            while True:
                while b"\n" not in self._rest:
                    piece = await self._process.stdout.receive_some()
                    assert piece, "the caller has ended"
                    self._rest += piece
                text, _, self._rest = self._rest.partition(b"\n")
                event: dict[str, Any] = json.loads(text)
                if kind in ("", event.get("type")):
                    return event

    async def say(self, **event: Any) -> None:
        """On its data channel."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(event).encode() + b"\n")

    async def hang_up(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.aclose()


@asynccontextmanager
async def calling(appliance: Appliance, key: str = "") -> AsyncIterator[Caller]:
    command = [sys.executable, "-m", "tests.process.sideband_caller", appliance.url, key]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    async with child(command, cwd=TREE, **pipes) as process:
        caller = Caller(process)
        caller.call = (await caller.hear())["call"]
        yield caller


class Beside:
    """What the official library gives, its calls in a thread."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection

    async def hear(self, kind: str = "") -> Any:
        """The next event, of that kind if one is given; of the library's own types."""
        with trio.fail_after(60):
            while True:
                event = await trio.to_thread.run_sync(self.connection.recv, abandon_on_cancel=True)
                if kind in ("", event.type):
                    return event

    async def closed(self) -> tuple[int, str]:
        """By what the server has closed."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as error:
            assert error.rcvd is not None, error
            return error.rcvd.code, error.rcvd.reason


@asynccontextmanager
async def beside(appliance: Appliance, call: str, key: str = "unused") -> AsyncIterator[Beside]:
    client = openai.OpenAI(api_key=key, base_url=f"{appliance.url}/v1")
    manager = client.realtime.connect(call_id=call)
    connection = await trio.to_thread.run_sync(manager.enter)
    try:
        yield Beside(connection)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(connection.close)


async def test_tools_are_answered_by_the_application_and_not_by_the_client(tmp_path: Path) -> None:
    async with realtime_server() as server:
        config: dict[str, dict[str, Any]] = reachable() | {
            "realtime": {"url": server.url},
            "backends": {"default": "realtime"},
        }
        async with (
            running_appliance(tmp_path, config) as appliance,
            calling(appliance) as caller,
            beside(appliance, caller.call) as application,
        ):
            upstream = await server.line()
            assert (await caller.hear("session.created"))["session"]["model"] == "fake"
            session: Any = {"type": "realtime", "instructions": "be brief"}
            await trio.to_thread.run_sync(
                lambda: application.connection.session.update(session=session)
            )
            assert (await upstream.until("session.update"))["session"] == session
            updated = await application.hear("session.updated")
            assert updated.session.instructions == "be brief"
            assert (await caller.hear("session.updated"))["session"]["instructions"] == "be brief"
            # The client speaks, too, and both hear what comes of it.
            await caller.say(type="response.create")
            await upstream.until("response.create")
            await upstream.send(
                "response.function_call_arguments.done",
                response_id="resp_1",
                item_id="item_1",
                output_index=0,
                call_id="call_1",
                name="price",
                arguments="{}",
            )
            wanted = await application.hear("response.function_call_arguments.done")
            assert wanted.call_id == "call_1"
            await trio.to_thread.run_sync(
                lambda: application.connection.conversation.item.create(item=OUTPUT)
            )
            assert (await upstream.until("conversation.item.create"))["item"] == OUTPUT
            await upstream.answer(bytes(48 * 200))
            for event in ("output_audio_buffer.started", "output_audio_buffer.stopped"):
                assert (await caller.hear(event))["response_id"] == "resp_1"
                assert (await application.hear(event)).response_id == "resp_1"
            await caller.hang_up()
            assert await application.closed() == (1000, "hangup")
        assert not server.problems


async def test_a_call_without_a_data_channel_has_one_all_the_same(tmp_path: Path) -> None:
    async with realtime_server() as server:
        config: dict[str, dict[str, Any]] = {
            "realtime": {"url": server.url},
            "backends": {"default": "realtime"},
        }
        async with (
            running_appliance(tmp_path, config) as appliance,
            live_calls(appliance, count=1) as calls,
        ):
            (row,) = (await appliance.sessions()).rows
            async with beside(appliance, row.session) as application:
                upstream = await server.line()
                await application.hear("session.created")  # has waited for somebody
                await trio.to_thread.run_sync(application.connection.response.create)
                await upstream.until("response.create")
                await upstream.answer(bytes(48 * 100))
                assert (await application.hear("response.done")).response.id == "resp_1"
            calls.hang_up()
        assert not server.problems


async def test_signaling_killed_breaks_the_socket_and_a_new_one_goes_on(
    tmp_path: Path, directory: Path
) -> None:
    endpoint = f"ipc://{directory}/agent"
    async with (
        service(ECHO_SERVICE, endpoint),
        running_appliance(tmp_path, configured(endpoint)) as appliance,
    ):
        await there(appliance)
        async with live_calls(appliance, count=1) as calls:
            (row,) = (await appliance.sessions()).rows
            first = await appliance.worker("signaling-0")
            async with beside(appliance, row.session) as application:
                os.kill(first.pid, signal.SIGKILL)
                with pytest.raises(ConnectionClosed):
                    await application.hear()
            await appliance.until(
                lambda status: any(
                    w.name == "signaling-0" and w.pid not in (0, first.pid) and w.state == "ready"
                    for w in status.workers
                )
            )
            async with beside(appliance, row.session) as application:
                await trio.to_thread.run_sync(application.connection.response.create)
                assert (await application.hear()).type == "response.create"  # it is an echo
                calls.hang_up()
                assert await application.closed() == (1000, "hangup")


async def test_only_the_key_that_the_call_was_placed_with(tmp_path: Path) -> None:
    keys = tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY) + line("other", OTHER_KEY))
    keys.chmod(0o600)
    config = reachable() | {"signaling": {"api_keys": str(keys)}}
    async with running_appliance(tmp_path, config) as appliance, calling(appliance, KEY) as caller:
        for key, status in ((OTHER_KEY, 404), ("x" * 40, 401)):
            with pytest.raises(InvalidStatus) as refused:
                async with beside(appliance, caller.call, key):
                    pass
            assert refused.value.response.status_code == status
        async with beside(appliance, caller.call, KEY) as application:
            await caller.say(type="response.create")
            assert (await caller.hear())["type"] == "response.create"
            assert (await application.hear()).type == "response.create"
            await caller.hang_up()
            assert (await application.closed())[0] == 1000
