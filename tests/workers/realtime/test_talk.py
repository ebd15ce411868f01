"""A call in memory, a server on loopback, and what passes between them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from ipc.backend.fake import FakeCaller
from ipc.backend.messages import AudioOut, Flush, HangUp
from tests.support.realtime_server import PER_MS, Line, RealtimeServer, realtime_server
from workers.realtime.shell import FORMAT
from workers.realtime.talk import CHANNEL, MAX_HELD, Talk
from workers.realtime.upstream import Upstream, find_server, open_upstream

SESSION = {"type": "realtime", "instructions": "Be kind."}


class Scene:
    """A caller that is bridged to a server."""

    def __init__(self, server: RealtimeServer, caller: FakeCaller, talk: Talk) -> None:
        self.server = server
        self.caller = caller
        self.talk = talk

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Events of that kind that the client has got."""
        events = [json.loads(text) for text in self.caller.messages]
        return [event for event in events if event["type"] == kind]

    async def until_told(self, kind: str) -> dict[str, Any]:
        with trio.fail_after(20):
            while not (found := self.told(kind)):
                await trio.sleep(0.005)
        return found[0]

    async def until_handed(self, milliseconds: int) -> None:
        """So much audio is there to be listened to."""
        with trio.fail_after(20):
            while self.handed < milliseconds * PER_MS:
                await trio.sleep(0.005)

    @property
    def handed(self) -> int:
        return sum(len(item.payload) for item in self.caller.said if isinstance(item, AudioOut))


@asynccontextmanager
async def scene(
    claims: dict[str, Any] | None = None, *, channel: bool = True
) -> AsyncIterator[Scene]:
    async with realtime_server() as server:

        async def dial(model: str) -> Upstream:
            return await open_upstream(find_server(server.url, model), "")

        caller = FakeCaller(audio=FORMAT, claims=claims)
        if channel:
            caller.open_channel(CHANNEL)
        talk = Talk(caller.call)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.run, dial)
            yield Scene(server, caller, talk)
            caller.hang_up()
        assert not server.problems


async def line_of(stage: Scene) -> Line:
    return await stage.server.line()


async def test_the_session_is_asked_for_and_its_events_reach_the_client() -> None:
    async with scene({"session": {**SESSION, "model": "m"}}) as stage:
        line = await line_of(stage)
        assert line.target.endswith("?model=m")
        assert (await line.until("session.update"))["session"] == SESSION
        updated = await stage.until_told("session.updated")
        assert updated["session"]["instructions"] == "Be kind."
        stage.caller.send('{"type":"response.create","event_id":"mine"}')
        assert await line.until("response.create") == {
            "type": "response.create",
            "event_id": "mine",
        }


async def test_audio_passes_both_ways() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        said = bytes(range(240)) * 4
        for _ in range(5):
            stage.caller.speak(said)
        stage.caller.mumble()
        assert await line.until_heard(5 * len(said)) == 5 * said
        answer = bytes(range(200)) * 48
        await line.answer(answer)
        await stage.until_handed(200)
        await stage.until_told("response.done")
        stage.caller.listen(60_000)
        assert stage.caller.heard == answer
        await stage.until_told("output_audio_buffer.stopped")
        assert stage.told("output_audio_buffer.started")
        assert not stage.told("response.output_audio.delta")


async def test_a_caller_who_interrupts_hears_no_more_and_the_server_knows_how_much() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        item = await line.answer(bytes(20_000 * PER_MS))
        await stage.until_handed(5_000)
        stage.caller.listen(1_400)
        await line.speech_started()
        truncate = await line.until("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == (item, 1_400)
        assert any(isinstance(said, Flush) for said in stage.caller.said)
        await stage.until_told("output_audio_buffer.cleared")
        handed = stage.handed
        await line.answer(bytes(100 * PER_MS))
        await stage.until_handed(handed // PER_MS + 100)


async def test_a_client_that_interrupts() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        await line.answer(bytes(2_000 * PER_MS), end=False)
        await stage.until_handed(2_000)
        stage.caller.listen(400)
        stage.caller.send('{"type":"response.cancel"}')
        stage.caller.send('{"type":"output_audio_buffer.clear"}')
        await line.until("response.cancel")
        assert (await line.until("conversation.item.truncate"))["audio_end_ms"] == 400
        await stage.until_told("output_audio_buffer.cleared")


async def test_events_wait_for_the_channel_though_not_for_ever() -> None:
    async with scene(channel=False) as stage:
        line = await line_of(stage)
        for number in range(MAX_HELD + 5):
            await line.send("rate_limits.updated", rate_limits=[{"limit": number}])
        with trio.fail_after(20):
            while stage.talk.tally().get("events_not_told", 0) < 6:  # session.created was the first
                await trio.sleep(0.005)
        stage.caller.open_channel("something else")
        stage.caller.open_channel(CHANNEL)
        await stage.until_told("rate_limits.updated")
        limits = [event["rate_limits"][0]["limit"] for event in stage.told("rate_limits.updated")]
        assert limits == list(range(5, MAX_HELD + 5))


async def test_an_event_that_is_too_large_is_told_as_an_error() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "x" * 99_999}],
        }
        await line.send("conversation.item.added", item=item)
        assert (await stage.until_told("error"))["error"]["code"] == "event_too_large"
        assert stage.talk.tally() == {"events_too_large": 1}


async def test_what_is_said_on_other_channels_is_not_for_the_server() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        stage.caller.open_channel("chat")
        stage.caller.send("hello", channel=1)
        stage.caller.send('{"type":"response.create"}')
        await line.until("response.create")
        assert not stage.talk.tally()


async def test_the_end_of_the_server_is_the_end_of_the_call() -> None:
    async with scene() as stage:
        line = await line_of(stage)
        await stage.until_told("session.created")
        await line.stream.aclose()
        with trio.fail_after(20):
            said = await stage.caller.until_said(HangUp)
        assert isinstance(said, HangUp)
        assert said.reason.startswith("upstream_closed: ")
        assert stage.told("error")[0]["error"]["code"] == "upstream_closed"
        assert stage.talk.failure is not None


@pytest.mark.parametrize("status", [401, 503])
async def test_a_server_that_refuses_ends_the_call(status: int) -> None:
    caller = FakeCaller(audio=FORMAT)
    async with realtime_server() as server:
        server.status = status

        async def dial(model: str) -> Upstream:
            return await open_upstream(find_server(server.url, model), "")

        talk = Talk(caller.call)
        await talk.run(dial)
    assert caller.hung_up
    assert talk.failure is not None
    assert str(status) in str(talk.failure)


async def test_the_end_of_the_call_is_the_end_of_the_connection() -> None:
    async with realtime_server() as server:

        async def dial(model: str) -> Upstream:
            return await open_upstream(find_server(server.url, model), "")

        caller = FakeCaller(audio=FORMAT)
        talk = Talk(caller.call)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.run, dial)
            line = await server.line()
            caller.hang_up()
        with trio.fail_after(20):
            while line.closed is None:
                await trio.sleep(0.005)
        assert line.closed == 1000
        assert talk.failure is None
        assert not caller.hung_up
