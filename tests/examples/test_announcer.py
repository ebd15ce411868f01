"""The menu: a key changes what plays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from examples import announcer
from ipc.backend.fake import FakeCaller
from ipc.backend.messages import AudioOut, Flush, Playback, PlaybackEvent


@asynccontextmanager
async def calling(sounds: dict[str, bytes] | None = None) -> AsyncIterator[FakeCaller]:
    caller = FakeCaller(audio=announcer.FORMAT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(announcer.menu, caller.call, sounds or {})
        await trio.testing.wait_all_tasks_blocked()
        yield caller
        nursery.cancel_scope.cancel()


def items(caller: FakeCaller) -> list[str]:
    names = [item.item for item in caller.said if isinstance(item, AudioOut)]
    return list(dict.fromkeys(names))


async def test_greets_and_waits() -> None:
    async with calling() as caller:
        caller.listen(1000)
        assert bytes(caller.heard) == announcer.welcome()
        assert not caller.hung_up


async def test_a_key_cuts_what_plays_and_plays_its_own() -> None:
    async with calling() as caller:
        caller.press("2")
        await trio.testing.wait_all_tasks_blocked()
        assert any(isinstance(item, Flush) for item in caller.said)
        caller.listen(10_000)
        assert bytes(caller.heard) == announcer.melody()
        assert items(caller) == ["welcome", "key-2"]
        events = [(e.item, e.event) async for e in ended(caller)]
        assert ("welcome", PlaybackEvent.CLEARED) in events
        assert ("key-2", PlaybackEvent.DRAINED) in events


async def ended(caller: FakeCaller) -> AsyncIterator[Playback]:
    caller.hang_up()
    async for event in caller.call.playback:
        yield event


async def test_files_take_the_place_of_its_own_sounds() -> None:
    async with calling({"1": b"\1\0" * 320}) as caller:
        caller.listen(1000)
        caller.press("1")
        await trio.testing.wait_all_tasks_blocked()
        caller.listen(1000)
        assert bytes(caller.heard) == announcer.welcome() + b"\1\0" * 320


async def test_a_hash_hangs_up() -> None:
    async with calling() as caller:
        caller.press("#")
        await trio.testing.wait_all_tasks_blocked()
        assert caller.hung_up
