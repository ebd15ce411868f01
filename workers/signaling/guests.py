"""Calls that other hosts of the fleet place here, and what they ask about them later.

Nothing goes on from here to a third host: what this one's transceivers do not take is refused. So two hosts
that are both full never send a call to and fro.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from config.ids import Endpoint, SessionId
from ipc.door import Door
from ipc.log import Logger
from ipc.lost import Losses
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.routes import TransceiverEntry
from ipc.messages.sessions import (
    CountSessions,
    CreateSession,
    EndSession,
    PatchSession,
    Problem,
    SessionCount,
    SessionEnded,
    SessionRefused,
    SessionUnknown,
    WatchSessions,
)
from ipc.messages.sidebands import CloseSideband, OpenSideband, ReadSidebands, TellSession
from ipc.rpc import RpcServer
from ipc.zmq_trio import EndpointError
from workers.http.problems import Refused
from workers.signaling.membership import Membership
from workers.signaling.refusals import refused_for_host
from workers.signaling.switchboard import Gone, NoAnswer, OfSession, Switchboard, Watch

LIMIT: Final = 2048
"""Requests in work. Most wait for news: two at most for each host that asks and each transceiver."""
AGAIN: Final = 0.1
"""Seconds until the next try to listen: a predecessor does until it drains; an address may come later."""


class Guests:
    """Answers other hosts on behalf of this one's transceivers."""

    def __init__(
        self, switchboard: Switchboard, membership: Membership, log: Logger, lost: Losses
    ) -> None:
        """`lost`: where messages are counted that came to nothing."""
        self._switchboard = switchboard
        self._membership = membership
        self._log = log
        self._lost = lost
        self.counters: Counter[str] = Counter()
        """Calls of other hosts, `placed` and `refused`."""

    async def serve(self, at: Endpoint) -> None:
        """For ever. Cancelled, it listens no more."""
        with Door(self._membership.members, self._log, "host") as door:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(door.serve)
                async with self._listening(f"tcp://{at}") as server:
                    await server.serve(self.answer)

    async def answer(self, request: Message) -> Message:
        """What a host asks."""
        match request:
            case CreateSession():
                return await self._place(request)
            case (
                EndSession(session=session)
                | OpenSideband(session=session)
                | TellSession(session=session)
                | CloseSideband(session=session)
            ):
                unknown: Message = SessionUnknown(session)
                return await self._carry(request, self._owner(session), unknown)
            case PatchSession(session=session):
                unknown = SessionRefused(Problem.UNKNOWN_SESSION, "it is over, or never was")
                return await self._carry(request, self._owner(session), unknown)
            case WatchSessions(route=route) | ReadSidebands(route=route):
                owner = route and self._switchboard.placement.owner(route)
                return await self._carry(request, owner, Failure("no such transceiver"))
            case CountSessions(key=key):
                return SessionCount(await self._switchboard.count_here(key))
            case _:
                return Failure(f"a host does not answer {type(request).__name__}")

    async def _place(self, request: CreateSession) -> Message:
        try:
            created = await self._switchboard.place_here(request)
        except Refused as refused:
            self.counters["refused"] += 1
            return refused_for_host(refused)
        self.counters["placed"] += 1
        return created

    def _owner(self, session: SessionId) -> TransceiverEntry | None:
        """Of a session of this host: what is placed elsewhere is not asked for here."""
        owner = self._switchboard.owner(session)
        return owner and self._switchboard.placement.owner(owner.route)

    async def _carry(
        self,
        request: OfSession | Watch,
        owner: TransceiverEntry | None,
        unknown: Message,
    ) -> Message:
        if owner is None:
            return unknown
        try:
            return await self._switchboard.ask(owner, request)
        except Gone:  # one that drains ends with its last session, perhaps before it says so
            return SessionEnded(request.session) if isinstance(request, EndSession) else unknown
        except (NoAnswer, Refused) as error:
            return Failure(str(error))

    @asynccontextmanager
    async def _listening(self, endpoint: str) -> AsyncIterator[RpcServer]:
        secret, told = self._membership.own.secret, ""
        while True:
            try:
                server = RpcServer(
                    endpoint, log=self._log, limit=LIMIT, secret=secret, lost=self._lost
                )
                break
            except EndpointError as error:
                if str(error) != told:
                    told = str(error)
                    self._log.warning("other hosts cannot place calls here yet", why=told)
                await trio.sleep(AGAIN)
        with server:
            self._log.info("other hosts may place calls here", at=endpoint)
            yield server
