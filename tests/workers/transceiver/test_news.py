from __future__ import annotations

import trio

from config.ids import SessionId
from ipc.messages.sessions import CloseReason, SessionNews, WatchSessions
from workers.transceiver.news import MEMORY, News


def news(number: int) -> SessionNews:
    return SessionNews(SessionId(f"rtc_{number}"), CloseReason.IDLE)


async def test_what_came_after_that_number(autojump_clock: trio.testing.MockClock) -> None:
    told = News()
    for number in range(3):
        told.add(news(number))
    every = await told.watch(WatchSessions())
    assert every.news == (news(0), news(1), news(2))
    assert every.serial == 3
    assert (await told.watch(WatchSessions(2))).news == (news(2),)
    nothing = await told.watch(WatchSessions(3, within=5))
    assert (nothing.serial, nothing.news) == (3, ())


async def test_whoever_waits_hears_of_a_burst_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told, heard, began = News(), [], trio.current_time()

    async def watch() -> None:
        heard.append(await told.watch(WatchSessions(0, within=10)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        nursery.start_soon(watch)
        await trio.sleep(1)
        told.add(news(1))
        told.add(news(2))
    assert [each.news for each in heard] == [(news(1), news(2))] * 2
    assert trio.current_time() - began < 2


async def test_there_is_an_end_to_memory_and_to_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told, began = News(), trio.current_time()
    assert (await told.watch(WatchSessions(0, within=1e9))).news == ()
    assert trio.current_time() - began < 60
    for number in range(MEMORY + 5):
        told.add(news(number))
    late = await told.watch(WatchSessions(1))
    assert late.news[0] == news(5)
    assert (len(late.news), late.serial) == (MEMORY, MEMORY + 5)
    assert (await told.watch(WatchSessions(10**18, within=0))).news == ()
