"""What signaling asks about sidebands, answered: between the sessions and those who read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

import trio

from ipc.messages import Message
from ipc.messages.sessions import Problem, SessionRefused, SessionUnknown
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandDone,
    TellSession,
)
from workers.transceiver.audience import Audience
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.backends.sidebands import Crowded, Member
from workers.transceiver.core.interface import FromSession, SessionsOutput

Request: TypeAlias = OpenSideband | TellSession | CloseSideband | ReadSidebands


class SidebandDesk:
    """Of one transceiver."""

    def __init__(
        self, exchange: Exchange, carry_out: Callable[[list[SessionsOutput]], None]
    ) -> None:
        """`carry_out`: what back ends want done when they hear of a sideband."""
        self._exchange = exchange
        self._sidebands = exchange.sidebands
        self._carry_out = carry_out
        self._audience = Audience()

    async def answer(self, request: Request) -> Message:
        """What signaling wants."""
        match request:
            case ReadSidebands():
                return await self._audience.read(request)
            case OpenSideband():
                return self._open(request)
            case TellSession():
                return self._tell(request)
            case CloseSideband(session=session, reader=reader, number=number):
                self._sidebands.leave(session, Member(reader, number))
                return SidebandDone(session)
            case _ as never:
                assert_never(never)

    def flush(self) -> None:
        """What is for sidebands waits for their readers from now on."""
        outbox = self._sidebands.outbox
        if not outbox:
            return
        self._forget_lapsed()
        gone: set[Member] = set()
        for session, member, event in outbox:
            if member not in gone and not self._audience.put(member, event):
                self._sidebands.leave(session, member)
                gone.add(member)
        outbox.clear()

    def _open(self, request: OpenSideband) -> Message:
        if not self._sidebands.knows(request.session, request.key):
            return self._unknown(request)
        self._forget_lapsed()
        try:
            heard = self._sidebands.join(request.session, Member(request.reader, request.number))
        except Crowded as error:
            return SessionRefused(Problem.SIDEBANDS, str(error))
        self._audience.admit(request.reader)
        self._pass_on(heard)
        return SidebandDone(request.session)

    def _tell(self, request: TellSession) -> Message:
        member = Member(request.reader, request.number)
        heard = self._sidebands.say(request.session, member, request.serial, request.text)
        if heard is None:
            return self._unknown(request)
        self._pass_on(heard)
        return SidebandDone(request.session)

    def _pass_on(self, heard: list[FromSession]) -> None:
        if heard:
            self._carry_out(self._exchange.overhear(heard, trio.current_time()))

    def _forget_lapsed(self) -> None:
        for reader in self._audience.lapsed():
            self._sidebands.forget(reader)

    def _unknown(self, request: OpenSideband | TellSession) -> SessionUnknown:
        return SessionUnknown(request.session, self._exchange.sessions.why_ended(request.session))
