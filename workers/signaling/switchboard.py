"""Carries offers to transceivers and hang-ups to the one that owns the session."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

import trio

from config.ids import Route, SessionId
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
from workers.http.problems import ProblemKind, Refused
from workers.signaling.placement import Placement
from workers.signaling.refusals import refused_by_transceiver
from workers.wire.types import Malformed
from workers.wire.ufrag import UfragKeys

ATTEMPTS: Final = 2
"""A transceiver that does not answer, or has just become full, costs one more try, not the session."""
_SESSION_ID: Final = re.compile(r"rtc_([0-9]{1,5})_([0-9A-Za-z]{23})")

Request: TypeAlias = CreateSession | PatchSession | EndSession | WatchSessions | CountSessions
Reply: TypeAlias = (
    SessionCreated
    | SessionPatched
    | SessionRefused
    | SessionEnded
    | SessionUnknown
    | SessionsNews
    | SessionCount
)


class NoAnswer(Exception):
    """The transceiver did not answer in time, or answered what is no answer."""


class Gone(NoAnswer):
    """It has ended while it was asked, and its sessions with it."""


class Line(Protocol):
    """How requests reach a transceiver's rpc end point."""

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        """One request, one reply. Raises NoAnswer."""
        ...

    def keep(self, rpcs: frozenset[str]) -> None:
        """Connections to end points that are not in the set may go."""
        ...


class Switchboard:
    """Knows who is there and asks them."""

    def __init__(self, keys: UfragKeys, line: Line, *, answer_within: float) -> None:
        """`answer_within`: seconds for all attempts together."""
        self._keys = keys
        self._line = line
        self._attempt_within = answer_within / ATTEMPTS
        self._rpcs: frozenset[str] = frozenset()
        self._under_way: Counter[str] = Counter()
        """Calls that are being placed, by API key."""
        self.placement = Placement()

    def update(self, table: Transceivers) -> None:
        """The supervisor's newest table."""
        self.placement.update(table)
        self._rpcs = frozenset(entry.rpc for entry in table.entries)
        self._line.keep(self._rpcs)

    async def create(self, request: CreateSession, *, at_most: int = 0) -> SessionCreated:
        """A session for an offer. Raises Refused.

        `at_most`: calls that the key of the request may have at a time; 0: no limit. The transceivers
        are asked how many there are, so that nothing has to be kept here, nor can be wrong.
        """
        key = request.claims.get("key", "")
        self._under_way[key] += 1
        try:
            if at_most and await self._count(key) + self._under_way[key] > at_most:
                raise Refused(ProblemKind.QUOTA, f"{at_most} at a time, and there are as many")
            return await self._place(request)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    async def _count(self, key: str) -> int:
        """Sessions that were placed with that key. One that does not answer has none."""
        counts: list[int] = []

        async def ask(rpc: str) -> None:
            with suppress(NoAnswer):
                reply = await self._line.call(rpc, CountSessions(key), within=self._attempt_within)
                if isinstance(reply, SessionCount):
                    counts.append(reply.count)

        async with trio.open_nursery() as nursery:
            for rpc in self._rpcs:
                nursery.start_soon(ask, rpc)
        return sum(counts)

    async def _place(self, request: CreateSession) -> SessionCreated:
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
                reply = await self._ask(entry, request)
                if isinstance(reply, SessionCreated):
                    return reply
                raise _refused(reply)
            except Refused as refused:
                if refused.kind not in _WORTH_ANOTHER:
                    raise
                refusal = refused
        raise refusal

    async def patch(self, session: str, fragment: str, expected: tuple[str, ...]) -> SessionPatched:
        """Carry a client's SDP fragment to its session. Raises Refused."""
        entry = self.owner(session)
        if entry is None:
            raise _unknown()
        reply = await self._ask(entry, PatchSession(SessionId(session), fragment, expected))
        if reply is None:
            raise _unknown()
        if isinstance(reply, SessionPatched):
            return reply
        raise _refused(reply)

    async def end(self, session: str) -> None:
        """Hang up. Raises Refused (UNKNOWN_SESSION, NO_ANSWER)."""
        entry = self.owner(session)
        if entry is None:
            raise _unknown()
        reply = await self._ask(entry, EndSession(session=SessionId(session)))
        # A transceiver that drains ends with its last session, perhaps before it says so.
        if reply is not None and not isinstance(reply, SessionEnded):
            raise _refused(reply)

    async def watch(self, rpc: str, request: WatchSessions) -> SessionsNews:
        """What has happened to sessions of the transceiver there. Raises NoAnswer and Gone."""
        if rpc not in self._rpcs:
            raise Gone("the transceiver is gone")
        reply = await self._line.call(rpc, request, within=request.within + self._attempt_within)
        if not isinstance(reply, SessionsNews):
            raise NoAnswer(f"it said {type(reply).__name__}")
        return reply

    async def _ask(self, entry: TransceiverEntry, request: Request) -> Reply | None:
        """What a transceiver replies; None if it has ended meanwhile. Raises Refused (NO_ANSWER)."""
        try:
            return await self._line.call(entry.rpc, request, within=self._attempt_within)
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
        return self.placement.owner(route) if route.cluster == int(match[1]) else None


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
    }
)
