"""Asking transceivers what has happened: when, how often, and when it is over."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from config.ids import Route
from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason
from tests.support.signaling import asking, entry, route
from workers.signaling.switchboard import Gone, Interrupted, NoAnswer, Switchboard
from workers.signaling.watches import AGAIN, Watches

LASTS = 3.0
"""Seconds of a request that is answered."""


class Wants:
    """Of one transceiver, as long as `wanted` says."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.wanted = self.empty = False
        self.asked: list[int] = []
        self.fails: list[NoAnswer] = []
        """How the next requests do, before one is answered."""
        self.ended: list[CloseReason] = []

    async def ask(self, after: int) -> int:
        self.asked.append(after)
        if self.fails:
            await trio.lowlevel.checkpoint()
            raise self.fails.pop(0)
        await trio.sleep(LASTS)
        return after + 10

    def end(self, reason: CloseReason) -> None:
        self.wanted = False
        self.ended.append(reason)


def watches(switchboard: Switchboard) -> Watches[Wants]:
    return Watches(switchboard, Wants)


followed = partial(asking, watches)


async def test_one_request_is_under_way_however_often_it_is_wanted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with followed() as (made, _, _):
        watch, other = made.of(route(0)), made.of(route(1))
        assert made.of(route(0)) is watch
        watch.wanted = True
        for _ in range(3):
            made.follow(watch)
        await trio.sleep(2.5 * LASTS)
        assert watch.asked == [0, 10, 20]
        assert other.asked == []


async def test_it_is_over_when_nobody_wants_it_and_begins_anew_when_somebody_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with followed() as (made, _, _):
        watch = made.of(route(0))
        watch.wanted = True
        made.follow(watch)
        await trio.sleep(LASTS / 2)
        watch.wanted = False
        await trio.sleep(10 * LASTS)
        assert watch.asked == [0]
        watch.wanted = True
        made.follow(watch)
        await trio.sleep(LASTS / 2)
        assert watch.asked == [0, 0]


async def test_nobody_else_asks_the_same_transceiver_until_the_request_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with followed() as (made, _, _):
        watch = made.of(route(0))
        watch.wanted = True
        made.follow(watch)
        await trio.sleep(LASTS / 2)
        watch.wanted, watch.empty = False, True
        made.tidy(watch)
        assert made.of(route(0)) is watch
        await trio.sleep(LASTS)
        assert made.of(route(0)) is not watch


async def test_who_does_not_answer_is_left_alone_for_a_moment_and_who_was_interrupted_is_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with followed() as (made, _, _):
        watch = made.of(route(0))
        watch.wanted = True
        watch.fails = [NoAnswer("in 3 s")] * 3
        made.follow(watch)
        await trio.sleep(2.5 * AGAIN)
        assert watch.asked == [0] * 3
        await trio.sleep(AGAIN + LASTS)
        assert watch.asked == [0] * 4 + [10]
        watch.fails = [Interrupted("its successor is there")] * 3
        await trio.sleep(LASTS)
        assert watch.asked == [0] * 4 + [10] + [20] * 4
        assert not watch.ended


async def test_when_a_transceiver_is_gone_it_matters_whether_its_host_drained(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with followed() as (made, switchboard, _):
        watch = made.of(route(0))
        watch.fails = [Gone("it has ended")] * 2
        for draining in (False, True):
            switchboard.update(Transceivers((entry(0),), draining=draining))
            watch.wanted = True
            made.follow(watch)
            await trio.sleep(1)
        assert watch.ended == [CloseReason.INTERNAL_ERROR, CloseReason.DRAINED]
        assert watch.asked == [0, 0]
