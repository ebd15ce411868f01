"""Reading for sidebands: one request for each transceiver, and what becomes of who is gone."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason, CreateSession
from ipc.messages.sidebands import CloseSideband, OpenSideband, SidebandEvent, TellSession
from tests.support.signaling import OFFER, asking
from workers.http.problems import ProblemKind, Refused
from workers.signaling.sidebands import MAX_WAITING, Sidebands

CREATE = CreateSession(offer=OFFER)


async def test_one_request_is_under_way_however_many_sidebands_there_are(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(Sidebands) as (sidebands, switchboard, line):
        one = (await switchboard.create(CREATE)).session
        two = (await switchboard.create(CREATE)).session
        async with sidebands.open(one, "") as first, sidebands.open(two, "") as second:
            line.says(two, "b")
            line.says(one, "a")
            assert (await first.next()).text == "a"
            assert (await second.next()).text == "b"
            assert line.watched["fake-0"] == 2
        asked = line.watched["fake-0"]
        await trio.sleep(60)
        assert line.watched["fake-0"] <= asked + 1
        async with sidebands.open(one, "") as again:
            line.says(one, "c")
            assert (await again.next()).text == "c"
        assert not line.members[one]


async def test_who_does_not_read_is_cut_and_the_transceiver_hears_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(Sidebands) as (sidebands, switchboard, line):
        session = (await switchboard.create(CREATE)).session
        async with sidebands.open(session, "") as slow, sidebands.open(session, "") as quick:
            for number in range(MAX_WAITING + 1):
                line.says(session, str(number))
                assert (await quick.next()).text == str(number)
            assert await slow.next() == SidebandEvent(slow.number, cut=True)
            assert sidebands.counters["cut"] == 1
        assert not line.members[session]


async def test_a_transceiver_that_does_not_answer_is_asked_again_and_one_that_is_gone_ends_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(Sidebands) as (sidebands, switchboard, line):
        session = (await switchboard.create(CREATE)).session
        async with sidebands.open(session, "") as sideband:
            await trio.sleep(1)
            line.silent.add("fake-0")
            await trio.sleep(5)
            line.silent.clear()
            line.says(session, "a")
            assert (await sideband.next()).text == "a"
            switchboard.update(Transceivers(entries=(), draining=False))
            assert (await sideband.next()).closed is CloseReason.INTERNAL_ERROR


async def test_who_may_not_and_who_gets_no_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with asking(Sidebands) as (sidebands, switchboard, line):
        session = (await switchboard.create(CREATE)).session
        line.silent.add("fake-0")
        for call, kind in (
            ("rtc_7_none", ProblemKind.UNKNOWN_SESSION),
            (session, ProblemKind.NO_ANSWER),
        ):
            with pytest.raises(Refused) as refused:
                async with sidebands.open(call, ""):
                    pass
            assert refused.value.kind is kind
        assert sidebands.counters == {"refused": 2}


async def test_what_is_read_before_it_is_known_to_be_open_is_not_lost(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(Sidebands) as (sidebands, switchboard, line):
        session = (await switchboard.create(CREATE)).session
        aside = switchboard.aside

        async def slow(request: OpenSideband | TellSession | CloseSideband) -> None:
            await aside(request)
            line.says(session, "early")
            await trio.sleep(1)  # both answers are there, and the other task runs first

        async with sidebands.open(session, "") as first:
            monkeypatch.setattr(switchboard, "aside", slow)
            async with sidebands.open(session, "") as second:
                assert (await first.next()).text == "early"
                assert (await second.next()).text == "early"
