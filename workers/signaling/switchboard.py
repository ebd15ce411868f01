"""Carries offers to transceivers and hang-ups to the one that owns the session.

Those of this host come first. What they cannot take is placed on another host, if the fleet has one that
lets us in; from then on the session's id leads to that host, whatever is asked about it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

import msgspec
import trio

from config.ids import HostId, Route, SessionId
from ipc.messages.fleet import FleetDoor, FleetView
from ipc.messages.routes import TransceiverEntry, Transceivers
from ipc.messages.sessions import (
    CloseReason,
    CountSessions,
    CreateSession,
    EndSession,
    PatchSession,
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionPatched,
    SessionRefused,
    SessionsNews,
    SessionUnknown,
    WatchSessions,
)
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandDone,
    SidebandsRead,
    TellSession,
)
from workers.http.problems import ProblemKind, Refused
from workers.signaling.elsewhere import Elsewhere, rpc_of
from workers.signaling.placement import Placement
from workers.signaling.refusals import refused_by_transceiver
from workers.signaling.whereabouts import NOWHERE, Whereabouts
from workers.wire.types import Malformed
from workers.wire.ufrag import UfragKeys

ATTEMPTS: Final = 2
"""A transceiver that does not answer, is full or without a back end costs one more try, not the call."""
ELSEWHERE: Final = 3
"""Hosts that are asked for one call."""
NEARER: Final = 2
"""How many of them at most because they are nearer to the client, before our own transceivers."""
ELSEWHERE_WITHIN: Final = 2.0
"""Seconds for which one of them is waited for, at most."""
_SESSION_ID: Final = re.compile(r"rtc_([0-9]{1,5})_([0-9A-Za-z]{23})")

OfSession: TypeAlias = PatchSession | EndSession | OpenSideband | TellSession | CloseSideband
Watch: TypeAlias = WatchSessions | ReadSidebands
Request: TypeAlias = CreateSession | OfSession | Watch | CountSessions
Reply: TypeAlias = (
    SessionCreated
    | SessionPatched
    | SessionRefused
    | SessionEnded
    | SessionUnknown
    | SessionsNews
    | SessionCount
    | SidebandDone
    | SidebandsRead
)


class NoAnswer(Exception):
    """The transceiver did not answer in time, or answered what is no answer."""


class Gone(NoAnswer):
    """It has ended while it was asked, and its sessions with it."""


class Interrupted(NoAnswer):
    """Whoever was to pass it on at its host has been replaced: it may be asked again at once."""


class Line(Protocol):
    """How requests reach a transceiver's rpc end point."""

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        """One request, one reply. Raises NoAnswer, and of it Gone and Interrupted."""
        ...

    def keep(self, rpcs: frozenset[str], doors: Mapping[str, FleetDoor]) -> None:
        """Connections to end points that are neither in the set nor `doors` may go.

        `doors`: those of other hosts, by their end points.
        """
        ...


class Switchboard:
    """Knows who is there and asks them."""

    def __init__(
        self,
        keys: UfragKeys,
        line: Line,
        *,
        answer_within: float,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`answer_within`: seconds for all attempts on this host together."""
        self._keys = keys
        self._line = line
        self._answer_within = answer_within
        self._attempt_within = answer_within / ATTEMPTS
        self._rpcs: frozenset[str] = frozenset()
        self._under_way: Counter[str] = Counter()
        """Calls that are being placed, by API key."""
        self.placement = Placement()
        self.elsewhere = elsewhere or Elsewhere()
        self.placed: Counter[str] = Counter()
        """Calls, by where: `here`, `elsewhere`; `refused_elsewhere` are tries at other hosts in vain."""

    def update(self, table: Transceivers) -> None:
        """The supervisor's newest table."""
        self.placement.update(table)
        self._rpcs = frozenset(entry.rpc for entry in table.entries)
        self._line.keep(self._rpcs, self.elsewhere.doors)

    def learn(self, view: FleetView) -> None:
        """What is known of the other hosts now."""
        self.elsewhere.update(view)
        self._line.keep(self._rpcs, self.elsewhere.doors)

    @property
    def ready(self) -> bool:
        """A session offered now would find a transceiver."""
        return self.placement.ready or self.elsewhere.ready

    async def create(
        self, request: CreateSession, where: Whereabouts = NOWHERE, *, at_most: int = 0
    ) -> SessionCreated:
        """A session for an offer of a client who is there. Raises Refused.

        `at_most`: calls that the key of the request may have at a time; 0: no limit. The transceivers
        are asked how many there are, so that nothing has to be kept here, nor can be wrong.
        """
        key = request.claims.get("key", "")
        self._under_way[key] += 1
        try:
            if at_most and await self._count(key) + self._under_way[key] > at_most:
                raise Refused(ProblemKind.QUOTA, f"{at_most} at a time, and there are as many")
            return await self._place(request, where)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    async def count_here(self, key: str) -> int:
        """Sessions of this host that were placed with that key."""
        return await self._count_at(self._rpcs, key, self._attempt_within)

    async def _count(self, key: str) -> int:
        """And those of other hosts where calls are placed."""
        counts = [0, 0]

        async def ask(which: int, rpcs: Iterable[str], within: float) -> None:
            counts[which] = await self._count_at(rpcs, key, within)

        others = map(rpc_of, self.elsewhere.asked(trio.current_time()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 0, self._rpcs, self._attempt_within)
            nursery.start_soon(ask, 1, others, min(ELSEWHERE_WITHIN, self._attempt_within))
        return sum(counts)

    async def _count_at(self, rpcs: Iterable[str], key: str, within: float) -> int:
        """One that does not answer has none."""
        counts: list[int] = []

        async def ask(rpc: str) -> None:
            with suppress(NoAnswer):
                reply = await self._line.call(rpc, CountSessions(key), within=within)
                if isinstance(reply, SessionCount):
                    counts.append(reply.count)

        async with trio.open_nursery() as nursery:
            for rpc in rpcs:
                nursery.start_soon(ask, rpc)
        return sum(counts)

    async def _place(self, request: CreateSession, where: Whereabouts) -> SessionCreated:
        tried: set[HostId] = set()
        there = await self._place_elsewhere(request, tried, NEARER, where)
        try:
            created = there or await self.place_here(request)
        except Refused as refused:
            if refused.kind not in _WORTH_ANOTHER:
                raise
            there = await self._place_elsewhere(request, tried, ELSEWHERE)
            if there is None:
                raise
            created = there
        self.placed["elsewhere" if there else "here"] += 1
        return created

    async def _place_elsewhere(
        self,
        request: CreateSession,
        tried: set[HostId],
        most: int,
        nearer_to: Whereabouts | None = None,
    ) -> SessionCreated | None:
        """On another host, or on one that is nearer to the client than we; None if none takes it.

        `tried`: who has been asked; `most` of them. Raises Refused if it is the offer that is refused.
        """
        while len(tried) < most:
            now = trio.current_time()
            host = self.elsewhere.choose(now, avoid=tried, nearer_to=nearer_to)
            if host is None:
                break
            tried.add(host.host)
            # Our sites' relays know our cluster; those of another one its own hosts know best.
            ours = host.cluster == self.elsewhere.cluster
            wanted = request if ours else msgspec.structs.replace(request, advertise=())
            within = min(ELSEWHERE_WITHIN, self._attempt_within)
            try:
                return await self._offer(rpc_of(host), wanted, within)
            except Refused as refused:
                if refused.kind in _OF_THE_OFFER:
                    raise
                self.placed["refused_elsewhere"] += 1
                if refused.kind is ProblemKind.NO_ANSWER:
                    self.elsewhere.doubt(host.host, trio.current_time())
        return None

    async def place_here(self, request: CreateSession) -> SessionCreated:
        """A session at a transceiver of this host. Raises Refused."""
        tried: set[Route] = set()
        refusal = Refused(ProblemKind.NO_ANSWER, "no transceiver was asked")
        for _ in range(ATTEMPTS):
            try:
                entry = self.placement.choose(trio.current_time(), avoid=tried)
            except Refused:
                if tried:
                    raise refusal from None
                raise
            tried.add(entry.route)
            try:
                return await self._offer(entry.rpc, request, self._attempt_within)
            except Refused as refused:
                if refused.kind not in _WORTH_ANOTHER:
                    raise
                refusal = refused
        raise refusal

    async def ask(self, owner: TransceiverEntry, request: OfSession | Watch) -> Reply:
        """What a transceiver says about its sessions. Raises NoAnswer and Gone."""
        within = self._attempt_within
        if isinstance(request, WatchSessions | ReadSidebands):
            within += request.within
        return await self._line.call(owner.rpc, request, within=within)

    async def patch(self, session: str, fragment: str, expected: tuple[str, ...]) -> SessionPatched:
        """Carry a client's SDP fragment to its session. Raises Refused."""
        request = PatchSession(SessionId(session), fragment, expected)
        reply = await self._ask_owner(session, request)
        if reply is None:
            raise _unknown()
        if isinstance(reply, SessionPatched):
            return reply
        raise _refused(reply)

    async def end(self, session: str) -> None:
        """Hang up. Raises Refused (UNKNOWN_SESSION, NO_ANSWER)."""
        reply = await self._ask_owner(session, EndSession(session=SessionId(session)))
        # A transceiver that drains ends with its last session, perhaps before it says so.
        if reply is not None and not isinstance(reply, SessionEnded):
            raise _refused(reply)

    async def watch(self, route: Route, request: WatchSessions) -> SessionsNews:
        """What has happened to sessions of that transceiver. Raises NoAnswer and Gone."""
        reply = await self._watch(route, msgspec.structs.replace(request, route=route))
        if not isinstance(reply, SessionsNews):
            raise NoAnswer(f"it said {type(reply).__name__}")
        return reply

    async def aside(self, request: OpenSideband | TellSession | CloseSideband) -> None:
        """Do that for a sideband. Raises Refused (UNKNOWN_SESSION, SIDEBANDS, NO_ANSWER)."""
        reply = await self._ask_owner(request.session, request)
        if reply is None:
            raise _unknown()
        if not isinstance(reply, SidebandDone):
            raise _refused(reply)

    async def read(self, route: Route, request: ReadSidebands) -> SidebandsRead:
        """What that transceiver has for a reader's sidebands. Raises NoAnswer and Gone."""
        reply = await self._watch(route, msgspec.structs.replace(request, route=route))
        if not isinstance(reply, SidebandsRead):
            raise NoAnswer(f"it said {type(reply).__name__}")
        return reply

    async def _watch(self, route: Route, request: Watch) -> Reply:
        entry = self._owner_of(route)
        if entry is None:
            raise Gone("the transceiver is gone")
        return await self.ask(entry, request)

    async def _offer(self, rpc: str, request: CreateSession, within: float) -> SessionCreated:
        reply = await self._reply(rpc, request, within)
        if isinstance(reply, SessionCreated):
            return reply
        raise _refused(reply)

    async def _ask_owner(self, session: str, request: OfSession) -> Reply | None:
        """What a session's transceiver replies; None if it has ended meanwhile. Raises Refused.

        All may be repeated: the same fragment again is the same restart, whose answer was lost.
        """
        deadline = trio.current_time() + self._answer_within
        while True:
            entry = self.owner(session)
            if entry is None:
                raise _unknown()
            left = max(0.0, deadline - trio.current_time())
            try:
                return await self._line.call(entry.rpc, request, within=left)
            except Gone:
                return None
            except Interrupted:
                continue
            except NoAnswer as error:
                raise Refused(ProblemKind.NO_ANSWER, str(error)) from None

    async def _reply(self, rpc: str, request: Request, within: float) -> Reply | None:
        """What a transceiver replies; None if it has ended meanwhile. Raises Refused (NO_ANSWER)."""
        try:
            return await self._line.call(rpc, request, within=within)
        except Gone:
            return None
        except NoAnswer as error:
            raise Refused(ProblemKind.NO_ANSWER, str(error)) from None

    def owner(self, session: str) -> TransceiverEntry | None:
        """The transceiver that a session id names; None if it is gone, or the id is not ours."""
        match = _SESSION_ID.fullmatch(session)
        if match is None:
            return None
        try:
            route = self._keys.decode(match[2])
        except Malformed:
            return None
        return self._owner_of(route) if route.cluster == int(match[1]) else None

    def host_of(self, route: Route) -> HostId | None:
        """The other host that has that transceiver; None if it is ours, or nobody's."""
        own = self.placement.owner(route) is not None
        return None if own else self.elsewhere.host_of(route)

    def is_draining(self, host: HostId | None) -> bool:
        """That host lets go what it has; None: ours."""
        return self.placement.draining if host is None else self.elsewhere.is_draining(host)

    def _owner_of(self, route: Route) -> TransceiverEntry | None:
        return self.placement.owner(route) or self.elsewhere.owner(route)


def _refused(reply: Reply | None) -> Refused:
    """What a reply means that is not the one asked for."""
    match reply:
        case None:
            return Refused(ProblemKind.NO_ANSWER, "the transceiver is gone")
        case SessionRefused():
            return refused_by_transceiver(reply)
        case SessionUnknown():
            return _unknown(reply.reason)
        case _:
            return Refused(ProblemKind.NO_ANSWER, f"it said {type(reply).__name__}")


def _unknown(reason: CloseReason | None = None) -> Refused:
    detail = (
        "the session is over, or never was" if reason is None else f"it is over: {reason.value}"
    )
    return Refused(ProblemKind.UNKNOWN_SESSION, detail)


_WORTH_ANOTHER: Final = frozenset(
    {
        ProblemKind.NO_ANSWER,
        ProblemKind.FULL,
        ProblemKind.DRAINING,
        ProblemKind.NOT_READY,
        ProblemKind.BACKEND_AWAY,  # it may not have met its back ends yet
    }
)
_OF_THE_OFFER: Final = frozenset({ProblemKind.MALFORMED_SDP, ProblemKind.NOTHING_IN_COMMON})
"""What every host would say. Back ends may be others there."""
