"""A back end on a real socket. The transceiver here is written with msgpack and ZeroMQ alone, from the
documentation: the protocol is open."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
import trio.testing

from ipc.backend.call import Call
from ipc.backend.messages import SessionStarted
from ipc.backend.serve import MAX_UNTAKEN, Calls, run, serve
from ipc.backend.vad import Vad
from ipc.zmq_trio import EndpointInUse, Pattern, ZmqSocket
from tests.support.short_path import short_directory as short_directory

WITHIN = 10.0


class Stranger:
    """A transceiver that knows nothing but the documentation."""

    def __init__(self, endpoint: str) -> None:
        self.socket = ZmqSocket(Pattern.DEALER, immediate=True)  # as ours have it
        self.socket.connect(endpoint)
        self.items: list[dict[str, Any]] = []

    async def say(self, *items: dict[str, Any]) -> None:
        await self.socket.send([msgpack.packb(list(items))])

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next item of that kind; others that come before it are kept out."""
        with trio.fail_after(WITHIN):
            while True:
                while self.items:
                    item = self.items.pop(0)
                    if item["type"] == kind:
                        return item
                (data,) = await self.socket.receive()
                self.items += msgpack.unpackb(data)


@asynccontextmanager
async def joined(directory: Path, **options: Any) -> AsyncIterator[tuple[Calls, Stranger]]:
    endpoint = f"ipc://{directory}/agent.sock"
    async with serve(endpoint, name="agent", **options) as calls:
        stranger = Stranger(endpoint)
        with stranger.socket:
            await stranger.say({"type": "hello", "name": "t", "instance": "1"})
            hello = await stranger.hear("hello")
            assert hello["name"] == "agent"
            yield calls, stranger


async def test_a_call_from_hello_to_the_end(short_directory: Path) -> None:
    async with joined(short_directory, speech=True) as (calls, stranger):
        assert (await stranger.hear("credit"))["items"] > 0
        await stranger.say({"type": "session_started", "session": "s", "backend": "agent"})
        accept = await stranger.hear("accept")
        assert accept["session"] == "s"
        assert accept["speech"] is True
        assert accept["audio"] == {"encoding": "opus", "rate": 48000}
        with trio.fail_after(WITHIN):
            call = await calls.__anext__()
        await stranger.say({"type": "audio_in", "session": "s", "at": 0, "payload": b"frame"})
        with trio.fail_after(WITHIN):
            chunk = await call.audio.__anext__()
        assert chunk.payload == b"frame"
        async with trio.open_nursery() as nursery:
            await stranger.say(
                {"type": "playback", "session": "s", "event": "started", "item": "none"}
            )
            nursery.start_soon(call.play, b"answer", "a")
            out = await stranger.hear("audio_out")
        assert (out["payload"], out["item"]) == (b"answer", "a")
        call.hang_up("bye")
        assert (await stranger.hear("hang_up"))["reason"] == "bye"


async def test_heartbeats_come_without_being_asked(short_directory: Path) -> None:
    async with joined(short_directory) as (_, stranger):
        await stranger.hear("heartbeat")


async def test_a_screened_call_is_rejected(short_directory: Path) -> None:
    def screen(started: Any) -> str:
        return "closed on Sundays"

    async with joined(short_directory, screen=screen) as (_, stranger):
        await stranger.say({"type": "session_started", "session": "s", "backend": "agent"})
        assert (await stranger.hear("reject"))["why"] == "closed on Sundays"


async def test_calls_that_nobody_takes_are_rejected_beyond_a_number(short_directory: Path) -> None:
    async with joined(short_directory) as (calls, stranger):
        names = [f"s{number}" for number in range(MAX_UNTAKEN + 1)]
        await stranger.say(
            *({"type": "session_started", "session": name, "backend": "agent"} for name in names)
        )
        reject = await stranger.hear("reject")
        assert reject["session"] == names[-1]
        assert calls.dropped == 0
        with trio.fail_after(WITHIN):
            assert (await calls.__anext__()).id == names[0]


@pytest.mark.parametrize("asked", ["screen", "vad"])
async def test_an_error_about_one_call_is_that_calls_alone(
    short_directory: Path, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    def fail(started: SessionStarted) -> Any:
        if started.session == "s":
            raise LookupError("no such tenant")
        return None

    started = {"type": "session_started", "backend": "agent"}
    async with joined(short_directory, **{asked: fail}) as (_, stranger):
        await stranger.say({**started, "session": "s"})
        assert (await stranger.hear("reject"))["why"] == "the back end failed"
        await stranger.say({**started, "session": "t"})
        assert (await stranger.hear("accept"))["session"] == "t"
    assert "LookupError: no such tenant" in capsys.readouterr().err


async def test_what_counts_as_speech_is_said_for_each_call(short_directory: Path) -> None:
    def choose(started: SessionStarted) -> Vad | None:
        return Vad.asked(started.claims)

    detection = {"type": "server_vad", "threshold": 0.75, "silence_duration_ms": 250}
    claims = {"session": {"audio": {"input": {"turn_detection": detection}}}}
    started = {"type": "session_started", "backend": "agent"}
    async with joined(short_directory, speech=True, vad=choose) as (_, stranger):
        await stranger.say({**started, "session": "s", "claims": claims})
        assert (await stranger.hear("accept"))["vad"] == {"threshold": 0.75, "silence": 250}
        await stranger.say({**started, "session": "t"})
        assert "vad" not in await stranger.hear("accept")


async def test_what_counts_as_speech_may_be_the_same_for_all(short_directory: Path) -> None:
    async with joined(short_directory, barge_in=True, vad=Vad(prefix=100)) as (_, stranger):
        await stranger.say({"type": "session_started", "session": "s", "backend": "agent"})
        assert (await stranger.hear("accept"))["vad"] == {"prefix": 100}
    with pytest.raises(ValueError, match="silence is to be from 50 to 10000"):
        async with serve(f"ipc://{short_directory}/b.sock", vad=Vad(silence=1)):
            pass  # pragma: no cover


async def test_garbage_harms_nobody(short_directory: Path) -> None:
    async with joined(short_directory) as (calls, stranger):
        await stranger.socket.send([b"\xc1"])
        await stranger.socket.send([b"", b"", b""])
        assert (await stranger.hear("error"))["code"] == "malformed"
        await stranger.say({"type": "session_started", "session": "s", "backend": "agent"})
        await stranger.hear("accept")
        assert calls.desk.counters.malformed == 1


async def test_leaving_hangs_up_on_everybody(short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/agent.sock"
    stranger = Stranger(endpoint)
    with stranger.socket:
        async with trio.open_nursery() as nursery, serve(endpoint):
            await stranger.say({"type": "hello", "name": "t", "instance": "1"})
            for session in ("s", "t"):
                offer = {"type": "session_started", "session": session, "backend": "agent"}
                await stranger.say(offer)
                await stranger.hear("accept")
            nursery.start_soon(confirm, stranger, "s", "t")


async def confirm(stranger: Stranger, *sessions: str) -> None:
    """Be a transceiver that takes its time."""
    for session in sessions:
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await stranger.hear("hang_up"))["session"] == session
        ended = {"type": "session_ended", "session": session, "reason": "backend_ended"}
        await stranger.say(ended)


async def test_leaving_does_not_wait_for_ever(short_directory: Path) -> None:
    async with joined(short_directory) as (_, stranger):
        await stranger.say({"type": "session_started", "session": "s", "backend": "agent"})
        await stranger.hear("accept")


async def test_an_agent_that_fails_ends_its_own_call_only(short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/agent.sock"
    failed: list[str] = []

    async def agent(call: Call) -> None:
        if call.id == "bad":
            raise ValueError("a bug")
        async for _ in call.audio:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(endpoint, agent, on_error=lambda c, e: failed.append(c.id)))
        stranger = Stranger(endpoint)
        with stranger.socket:
            await stranger.say({"type": "hello", "name": "t", "instance": "1"})
            for session in ("good", "bad"):
                await stranger.say({"type": "session_started", "session": session, "backend": "a"})
            assert (await stranger.hear("hang_up"))["session"] == "bad"
            await stranger.say({"type": "session_ended", "session": "good", "reason": "hangup"})
        nursery.cancel_scope.cancel()
    assert failed == ["bad"]


async def test_the_end_point_is_one_back_ends(short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/agent.sock"
    async with serve(endpoint):
        with pytest.raises(EndpointInUse):
            async with serve(endpoint):
                pass


async def nobody_calls(call: Call) -> None:
    raise AssertionError(call.id)


@pytest.mark.parametrize("endpoint", ["ipc://{directory}/a.sock", "tcp://127.0.0.1:{port}"])
def test_a_program_whose_place_is_taken_ends_and_says_so(
    short_directory: Path, endpoint: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ZmqSocket(Pattern.ROUTER) as other:
        endpoint = endpoint.format(directory=short_directory, port=taken.getsockname()[1])
        if endpoint.startswith("ipc"):
            other.bind(endpoint)
        with pytest.raises(SystemExit) as ended:
            trio.run(partial(run, endpoint, name="agent"), nobody_calls)
    assert str(ended.value).startswith(f"agent: cannot listen: {endpoint}")
