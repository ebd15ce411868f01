"""News of sessions: one watch for each transceiver, whoever wants to know."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from config.ids import SessionId
from ipc.messages.fleet import FleetView
from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason, CreateSession, SessionNews
from tests.support.signaling import (
    OFFER,
    asking,
    other_host,
    route,
)
from workers.signaling.news import News
from workers.signaling.switchboard import Switchboard
from workers.signaling.watches import AGAIN

CREATE = CreateSession(offer=OFFER)


async def placed(switchboard: Switchboard) -> SessionId:
    return (await switchboard.create(CREATE)).session


async def test_each_hears_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async with asking(News) as (news, switchboard, line):
        one, two = await placed(switchboard), await placed(switchboard)
        with news.subscribe(route(0), one) as first, news.subscribe(route(0), two) as second:
            line.happens(two)
            line.happens(one, CloseReason.IDLE)
            assert await second.next() == SessionNews(two)
            assert await first.next() == SessionNews(one, CloseReason.IDLE)
            assert line.watched == {"fake-0": 2}


async def test_what_happened_before_is_told_too(autojump_clock: trio.testing.MockClock) -> None:
    async with asking(News) as (news, switchboard, line):
        one, two = await placed(switchboard), await placed(switchboard)
        line.happens(one)  # before anybody has asked
        with news.subscribe(route(0), one) as first:
            assert await first.next() == SessionNews(one)
            line.happens(two)  # while only the other is subscribed to
            await trio.sleep(1)
            with news.subscribe(route(0), two) as second:
                assert await second.next() == SessionNews(two)


async def test_nobody_is_asked_when_nobody_wants_to_know(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(News) as (news, switchboard, line):
        with news.subscribe(route(0), await placed(switchboard)):
            await trio.sleep(25)
        await trio.sleep(15)
        asked = line.watched["fake-0"]
        assert asked > 1
        await trio.sleep(100)
        assert line.watched["fake-0"] == asked
        session = await placed(switchboard)
        with news.subscribe(route(0), session) as again:
            line.happens(session)
            assert (await again.next()).session == session


async def test_a_silent_transceiver_is_asked_again_and_one_that_is_gone_ends_its_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(News) as (news, switchboard, line):
        session = await placed(switchboard)
        line.silent.add("fake-0")
        with news.subscribe(route(0), session) as subscription:
            await trio.sleep(10.5 * AGAIN)
            assert 5 < line.watched["fake-0"] < 15
            line.silent.clear()
            line.happens(session)
            assert (await subscription.next()).closed is None
            line.gone.add("fake-0")
            line.happens(session)
            assert (await subscription.next()).closed is None
            assert (await subscription.next()).closed is CloseReason.INTERNAL_ERROR
        line.gone.clear()
        switchboard.update(Transceivers(entries=(), draining=True))
        with news.subscribe(route(0), session) as subscription:
            assert (await subscription.next()).closed is CloseReason.DRAINED


@pytest.mark.parametrize(
    ("state", "reason"),
    [("ready", CloseReason.INTERNAL_ERROR), ("draining", CloseReason.DRAINED)],
)
async def test_why_calls_of_another_host_end_is_that_hosts_doing_and_not_ours(
    autojump_clock: trio.testing.MockClock, state: str, reason: CloseReason
) -> None:
    async with asking(News) as (news, switchboard, line):
        switchboard.update(Transceivers((), draining=True))
        host = other_host(1)
        switchboard.learn(FleetView((host,)))
        session = await placed(switchboard)
        with news.subscribe(route(1), session) as subscription:
            line.news["fake-1"] = line.news["tcp://10.0.0.1:3481"]
            line.happens(session)
            assert (await subscription.next()).closed is None
            gone = msgspec.structs.replace(host, state=state, transceivers=())
            switchboard.learn(FleetView((gone,)))
            assert (await subscription.next()).closed is reason
