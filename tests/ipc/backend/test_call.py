"""A call in the hands of an agent, with a caller in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from ipc.backend.call import MAX_AUDIO, CallEnded, Chunk
from ipc.backend.fake import FakeCaller
from ipc.backend.messages import (
    AudioFormat,
    AudioOut,
    Encoding,
    Flush,
    HangUp,
    Playback,
    PlaybackEvent,
    Speech,
)

PCM = AudioFormat(Encoding.PCM, 16_000)


async def test_audio_comes_in_order_and_ends_with_the_call() -> None:
    caller = FakeCaller()
    caller.speak(b"one")
    caller.mumble()
    caller.speak(b"two")
    caller.hang_up()
    assert [chunk async for chunk in caller.call.audio] == [
        Chunk(0, b"one", 0),
        Chunk(20, b"", 20),
        Chunk(40, b"two", 0),
    ]
    assert caller.call.ended == "peer_closed"


async def test_audio_that_nobody_takes_gives_way() -> None:
    caller = FakeCaller()
    for number in range(MAX_AUDIO + 10):
        caller.speak(b"%d" % number)
    caller.hang_up()
    heard = [chunk.payload async for chunk in caller.call.audio]
    assert heard[0] == b"10"
    assert len(heard) == MAX_AUDIO
    assert caller.call.audio.dropped == 10


async def test_play_waits_while_the_buffer_is_full(autojump_clock: trio.testing.MockClock) -> None:
    caller = FakeCaller(audio=PCM, buffer=400)
    second = bytes(16_000 * 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.call.play, second, "long")
        await trio.testing.wait_all_tasks_blocked()
        assert sum(len(i.payload) for i in caller.said if isinstance(i, AudioOut)) == 400 * 32
        for _ in range(5):
            caller.listen(200)
            await trio.testing.wait_all_tasks_blocked()
        caller.listen(0)
        assert await caller.call.played("long")
    assert caller.heard == second


async def test_what_is_flushed_is_handed_over_no_more() -> None:
    caller = FakeCaller(audio=PCM, buffer=400)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.call.play, [bytes(6_400)] * 10, "long")
        await trio.testing.wait_all_tasks_blocked()
        caller.call.flush()
        await trio.testing.wait_all_tasks_blocked()
    said = [item for item in caller.said if isinstance(item, AudioOut)]
    assert sum(len(item.payload) for item in said) == 400 * 32
    assert not await caller.call.played("long")
    assert caller.said[-1] == Flush(caller.call.id, "long"), "what was under way, too"
    # The same name may be played again.
    await caller.call.play(bytes(640), "long")
    caller.listen(20)
    assert await caller.call.played("long")


async def test_an_item_has_a_short_name() -> None:
    caller = FakeCaller(audio=PCM)
    with pytest.raises(ValueError, match="257 characters, at most 256"):
        await caller.call.play(bytes(640), "x" * 257)
    with pytest.raises(ValueError, match="257 characters, at most 256"):
        caller.call.say(bytes(640), "x" * 257)
    assert caller.said == []


async def test_flush_stops_and_tells_how_much_was_heard() -> None:
    caller = FakeCaller(audio=PCM)
    item = await caller.call.play(bytes(32_000))
    caller.listen(400)
    caller.call.flush()
    assert caller.said[-1] == Flush(caller.call.id)
    assert not await caller.call.played(item)
    caller.hang_up()
    events = [event async for event in caller.call.playback]
    assert events[-1].event is PlaybackEvent.CLEARED
    assert events[-1].played == 400


async def test_speech_digits_and_data() -> None:
    caller = FakeCaller(claims={"name": "Ada"})
    call = caller.call
    assert call.claims == {"name": "Ada"}
    caller.talk(active=True)
    caller.press("4#")
    caller.open_channel("chat")
    caller.send("hello")
    call.send("there")
    call.send(b"\x00")
    call.press("7")
    caller.hang_up()
    assert [digit.digit async for digit in call.dtmf] == ["4", "#"]
    assert [event async for event in call.speech] == [Speech(call.id, True, 0)]
    assert [message.payload async for message in call.data] == [b"hello"]
    assert caller.messages == ["there", b"\x00"]
    assert caller.digits == "7"


async def test_nothing_can_be_done_with_a_call_that_is_over() -> None:
    caller = FakeCaller()
    caller.hang_up()
    with pytest.raises(CallEnded, match="peer_closed"):
        await caller.call.play(b"x")
    with pytest.raises(CallEnded):
        caller.call.send("x")
    caller.call.flush()
    caller.call.hang_up()
    assert caller.said == []


async def test_whoever_waits_for_the_end_of_playing_learns_of_the_end_of_the_call() -> None:
    caller = FakeCaller()
    item = await caller.call.play([b"frame"])
    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.testing.wait_all_tasks_blocked()
            caller.hang_up()

        nursery.start_soon(leave)
        with pytest.raises(CallEnded):
            await caller.call.played(item)


async def test_leaving_the_block_hangs_up() -> None:
    caller = FakeCaller()
    async with caller.call:
        pass
    assert caller.said == [HangUp(caller.call.id, "finished")]
    assert caller.hung_up


async def test_sending_without_a_channel_says_so() -> None:
    with pytest.raises(LookupError):
        FakeCaller().call.send("x")
    with pytest.raises(LookupError):
        FakeCaller().call.send("x", channel=3)


async def test_a_channel_can_be_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    caller = FakeCaller()
    found: list[int] = []

    async def wait(label: str) -> None:
        found.append(await caller.call.channel(label))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "events")
        await trio.testing.wait_all_tasks_blocked()
        caller.open_channel("chat")
        await trio.testing.wait_all_tasks_blocked()
        assert not found
        caller.open_channel("events")
    assert found == [1]
    assert await caller.call.channel() == 0
    caller.hang_up()
    with pytest.raises(CallEnded):
        await caller.call.channel("other")
    assert await caller.call.until_ended() == "peer_closed"


async def test_an_item_that_is_said_can_be_ended() -> None:
    caller = FakeCaller(audio=PCM)
    caller.call.say(bytes(640), "a", last=True)
    caller.listen(20)
    assert [item.event async for item in _taken(caller)] == [
        PlaybackEvent.STARTED,
        PlaybackEvent.DRAINED,
    ]


async def _taken(caller: FakeCaller) -> AsyncIterator[Playback]:
    caller.hang_up()
    async for item in caller.call.playback:
        yield item
