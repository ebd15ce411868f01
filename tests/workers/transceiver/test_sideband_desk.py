"""Signaling's questions about sidebands, on real sessions with a back end that repeats events."""

from __future__ import annotations

from ipc.messages.sessions import CloseReason, Problem, SessionRefused, SessionUnknown
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandDone,
    SidebandEvent,
    SidebandsRead,
    TellSession,
)
from tests.support.transceiver import Rig
from workers.transceiver.audience import MAX_WAITING
from workers.transceiver.backends.sidebands import MAX_SIDEBANDS
from workers.transceiver.core.interface import CloseSession, ForSession
from workers.transceiver.sideband_desk import SidebandDesk


class Stage:
    """A call that is echoed, and the desk."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.call = self.rig.connect().id
        self.desk = SidebandDesk(self.rig.exchange, lambda outputs: None)
        self.serial = 0

    async def open(self, number: int = 1, reader: str = "r", key: str = "") -> object:
        return await self.desk.answer(OpenSideband(self.call, reader, number, key))

    async def say(self, text: str, number: int = 1) -> object:
        self.serial += 1
        return await self.desk.answer(TellSession(self.call, "r", number, self.serial, text))

    async def read(self, after: int = 0) -> SidebandsRead:
        self.desk.flush()
        reply = await self.desk.answer(ReadSidebands("r", after, within=0))
        assert isinstance(reply, SidebandsRead)
        return reply


async def test_what_one_says_is_echoed_to_all() -> None:
    stage = Stage()
    done = SidebandDone(stage.call)
    assert await stage.open(1) == done
    assert await stage.open(1) == done  # again: its answer was lost
    assert await stage.open(2) == done
    assert await stage.say("hello") == done
    assert (await stage.read()).events == (SidebandEvent(1, "hello"), SidebandEvent(2, "hello"))
    assert await stage.desk.answer(CloseSideband(stage.call, "r", 2)) == done
    assert await stage.say("gone", 2) == SessionUnknown(stage.call)
    stage.rig.do(ForSession(stage.call, CloseSession(CloseReason.HANGUP)))
    assert (await stage.read()).events[-1] == SidebandEvent(1, closed=CloseReason.HANGUP)
    over = SessionUnknown(stage.call, CloseReason.HANGUP)
    assert await stage.say("late") == over
    assert await stage.open(3) == over


async def test_who_has_another_key_does_not_learn_that_the_call_is_there() -> None:
    stage = Stage()
    assert await stage.open(key="other") == SessionUnknown(stage.call)


async def test_a_call_has_so_many_and_no_more() -> None:
    stage = Stage()
    for number in range(MAX_SIDEBANDS):
        await stage.open(number)
    refused = await stage.open(99)
    assert isinstance(refused, SessionRefused)
    assert refused.problem is Problem.SIDEBANDS


async def test_who_does_not_fetch_is_cut_and_hears_nothing_any_more() -> None:
    stage = Stage()
    await stage.open()
    for number in range(MAX_WAITING + 2):
        await stage.say(str(number))
    reply = await stage.read()
    assert len(reply.events) == MAX_WAITING + 1
    assert reply.events[-1] == SidebandEvent(1, cut=True)
    assert await stage.say("gone") == SessionUnknown(stage.call)
    assert await stage.open(2) == SidebandDone(stage.call)
