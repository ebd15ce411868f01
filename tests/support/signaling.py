"""A signaling server on an ephemeral port, with transceivers that answer at once."""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

import msgspec
import structlog
import trio

from config.ids import ClusterId, Endpoint, Epoch, HostId, Route, SessionId, TransceiverId
from ipc.messages.fleet import FleetDoor, FleetHost, FleetTransceiver, FleetView
from ipc.messages.routes import TransceiverEntry, Transceivers
from ipc.messages.sessions import (
    CloseReason,
    CountSessions,
    CreateSession,
    EndSession,
    PatchSession,
    Problem,
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionNews,
    SessionPatched,
    SessionRefused,
    SessionUnknown,
    WatchSessions,
)
from ipc.messages.sidebands import (
    CloseSideband,
    OpenSideband,
    ReadSidebands,
    SidebandDone,
    SidebandEvent,
    TellSession,
)
from workers.http.http1 import Limits
from workers.http.server import HttpServer
from workers.signaling.access import Access
from workers.signaling.app import make_application
from workers.signaling.elsewhere import Elsewhere
from workers.signaling.news import News
from workers.signaling.placing import Rules
from workers.signaling.sidebands import Sidebands
from workers.signaling.switchboard import Gone, NoAnswer, Reply, Request, Switchboard
from workers.transceiver.audience import Audience
from workers.transceiver.backends.sidebands import MAX_SIDEBANDS, Member
from workers.transceiver.news import News as Told
from workers.wire.ufrag import UfragKeys

OFFER: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + "a=x:padding\r\n" * 200
ANSWER: Final = "v=0\r\no=- 2 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n" + "a=x\r\n" * 200
ICE: Final = "ice-1"
FRAGMENT: Final = "a=ice-ufrag:new1\r\na=ice-pwd:new-password-of-the-server\r\n"
KEYS: Final = UfragKeys({"k": bytes(range(16))}, "k")
LIMITS: Final = Limits(request_timeout=10.0, max_body=65_536, max_connections=2_000)

RULES: Final = Rules(backends=frozenset({"echo", "other"}))


CLUSTER: Final = ClusterId(7)


def route(transceiver: int) -> Route:
    """Route of the n-th fake transceiver."""
    return Route(CLUSTER, TransceiverId(transceiver), Epoch(1))


def other_host(
    number: int,
    *,
    cluster: int = CLUSTER,
    state: str = "ready",
    sessions: int = 0,
    max_sessions: int = 100,
    accepting: bool = True,
    fresh: bool = True,
    door: Endpoint | None = Endpoint("", 0),  # noqa: B008  # a value
) -> FleetHost:
    """The host 10.0.0.<number> of the fleet; its only transceiver has that number."""
    if door is not None and not door.port:
        door = Endpoint(f"10.0.0.{number}", 3481)
    itself = Route(ClusterId(cluster), TransceiverId(number), Epoch(1))
    return FleetHost(
        HostId(f"{number:016x}"),
        ClusterId(cluster),
        state,
        transceivers=(FleetTransceiver(itself, Endpoint("10.0.0.1", 5000), accepting),),
        sessions=sessions,
        max_sessions=max_sessions,
        door=None if door is None else FleetDoor(door, "k" * 40),
        fresh=fresh,
    )


def entry(
    transceiver: int, *, sessions: int = 0, max_sessions: int = 100, accepting: bool = True
) -> TransceiverEntry:
    """Its row in the supervisor's table."""
    return TransceiverEntry(
        route=route(transceiver),
        rpc=f"fake-{transceiver}",
        sessions=sessions,
        max_sessions=max_sessions,
        accepting=accepting,
    )


def _number(rpc: str) -> int:
    """Of `fake-3`, or of the transceiver behind the door `tcp://10.0.0.3:3481`."""
    return int(rpc.removesuffix(":3481").replace("-", ".").rpartition(".")[2])


class FakeTransceivers:
    """The line to transceivers that mint real session ids and know what was said to them."""

    def __init__(self) -> None:
        self.sessions: dict[SessionId, CreateSession] = {}
        self.asked: Counter[str] = Counter()
        self.watched: Counter[str] = Counter()
        self.silent: set[str] = set()
        self.delay = 0.0
        self.gone: set[str] = set()
        self.refusing: dict[str, SessionRefused] = {}
        self.kept: frozenset[str] = frozenset()
        self.doors: Mapping[str, FleetDoor] = {}
        self.patches: list[PatchSession] = []
        self.news: defaultdict[str, Told] = defaultdict(Told)
        self.audiences: defaultdict[str, Audience] = defaultdict(Audience)
        self.members: defaultdict[SessionId, list[Member]] = defaultdict(list)
        self.said: list[str] = []
        """By sidebands."""

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        """One request, one reply."""
        if isinstance(request, WatchSessions | ReadSidebands):
            self.watched[rpc] += 1
        else:
            self.asked[rpc] += 1
            await trio.sleep(self.delay)
        if rpc in self.gone:
            raise Gone("the transceiver is gone")
        if rpc in self.silent:
            raise NoAnswer(f"{rpc} did not answer in {within:g} s")
        if isinstance(request, WatchSessions):
            return await self.news[rpc].watch(request)
        if isinstance(request, ReadSidebands):
            return await self.audiences[rpc].read(request)
        if isinstance(request, OpenSideband | TellSession | CloseSideband):
            return self._aside(rpc, request)
        if isinstance(request, EndSession):
            known = self.sessions.pop(request.session, None) is not None
            if known:
                self.happens(request.session, CloseReason.HANGUP)
            return (SessionEnded if known else SessionUnknown)(session=request.session)
        if isinstance(request, PatchSession):
            return self._patch(request)
        if isinstance(request, CountSessions):
            keys = [placed.claims.get("key") for placed in self.sessions.values()]
            return SessionCount(keys.count(request.key) if rpc == "fake-0" else 0)
        if rpc in self.refusing:
            return self.refusing[rpc]
        if request.backend not in ("echo", "other"):
            return SessionRefused(Problem.UNKNOWN_BACKEND, f"there is no {request.backend!r}")
        if not request.offer.startswith("v=0"):
            return SessionRefused(Problem.MALFORMED_SDP, "line 1: 'v=0' is missing")
        token = KEYS.mint(route(_number(rpc)), len(self.sessions).to_bytes(6, "big"))
        session = SessionId(f"rtc_7_{token}")
        self.sessions[session] = request
        return SessionCreated(session, ANSWER, ICE)

    def happens(self, session: SessionId, closed: CloseReason | None = None) -> None:
        """It is connected, or closed."""
        name = f"fake-{KEYS.decode(session.rpartition('_')[2]).transceiver}"
        self.news[name].add(SessionNews(session, closed))
        if closed is not None:
            for member in self.members.pop(session, []):
                self.audiences[name].put(member, SidebandEvent(member.number, closed=closed))

    def says(self, session: str, text: str) -> None:
        """Its back end, to the client."""
        name = f"fake-{KEYS.decode(session.rpartition('_')[2]).transceiver}"
        for member in [*self.members[SessionId(session)]]:
            if not self.audiences[name].put(member, SidebandEvent(member.number, text)):
                self.members[SessionId(session)].remove(member)

    def _aside(self, rpc: str, request: OpenSideband | TellSession | CloseSideband) -> Reply:
        members = self.members[request.session]
        member = Member(request.reader, request.number)
        if isinstance(request, CloseSideband):
            if member in members:
                members.remove(member)
            return SidebandDone(request.session)
        placed = self.sessions.get(request.session)
        if placed is None:
            return SessionUnknown(request.session)
        if isinstance(request, TellSession):
            self.said.append(request.text)
        elif placed.claims.get("key", "") != request.key:
            return SessionUnknown(request.session)
        elif len(members) >= MAX_SIDEBANDS:
            return SessionRefused(Problem.SIDEBANDS, "there are as many")
        else:
            self.audiences[rpc].admit(request.reader)
            members.append(member)
        return SidebandDone(request.session)

    def _patch(self, request: PatchSession) -> Reply:
        self.patches.append(request)
        if request.session not in self.sessions:
            return SessionRefused(Problem.UNKNOWN_SESSION, "no such session")
        if request.fragment.startswith("x"):
            return SessionRefused(Problem.MALFORMED_FRAGMENT, "line 1: not a fragment")
        if not request.expected:
            return SessionPatched(request.session, "ice-2", FRAGMENT)
        if ICE not in request.expected:
            return SessionRefused(Problem.STALE_ICE, "the entity tag is another one")
        return SessionPatched(request.session, ICE)

    def keep(self, rpcs: frozenset[str], doors: Mapping[str, FleetDoor]) -> None:
        """Remember what may stay."""
        self.kept = rpcs
        self.doors = doors


class Running:
    """What a test needs to know of a running server."""

    def __init__(
        self,
        server: HttpServer,
        switchboard: Switchboard,
        line: FakeTransceivers,
        sidebands: Sidebands,
    ) -> None:
        self.server = server
        self.sidebands = sidebands
        self.switchboard = switchboard
        self.transceivers = line
        self.draining = trio.Event()
        self.done = trio.Event()
        self.port = 0
        self.listening: socket.socket

    async def connect(self) -> trio.SocketStream:
        """A new TCP connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)


def switchboard_with(
    line: FakeTransceivers, *entries: TransceiverEntry, others: tuple[FleetHost, ...] = ()
) -> Switchboard:
    """A switchboard that knows these transceivers and these other hosts."""
    switchboard = Switchboard(KEYS, line, answer_within=10.0, elsewhere=Elsewhere(CLUSTER))
    switchboard.update(Transceivers(entries=entries))
    switchboard.learn(FleetView(others))
    return switchboard


class Asks(Protocol):
    """What has a task of its own that asks transceivers."""

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Ask for ever."""
        ...


A = TypeVar("A", bound=Asks)


@asynccontextmanager
async def asking(
    make: Callable[[Switchboard], A],
) -> AsyncIterator[tuple[A, Switchboard, FakeTransceivers]]:
    """What that makes, at work until the block ends; there is one transceiver."""
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0))
    made = make(switchboard)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made, switchboard, line
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_server(
    *,
    limits: Limits = LIMITS,
    cors_origins: tuple[str, ...] = (),
    rules: Rules = RULES,
    access: Access | None = None,
    most_sidebands: int = 100,
) -> AsyncIterator[Running]:
    """Serve on an ephemeral port of the loopback until the block ends."""
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0), entry(1))
    news = News(switchboard)
    sidebands = Sidebands(switchboard, most_sidebands)
    application = make_application(switchboard, cors_origins, rules, access, news, sidebands)
    server = HttpServer(application, limits, structlog.get_logger())
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    running = Running(server, switchboard, line, sidebands)
    running.listening = listening
    running.port = listening.getsockname()[1]

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        await server.serve([listening], running.draining, task_status)
        running.done.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(news.run)
        await nursery.start(sidebands.run)
        await nursery.start(serve)
        yield running
        nursery.cancel_scope.cancel()


def with_limits(**changes: float) -> Limits:
    """The usual limits, some of them smaller."""
    return msgspec.structs.replace(LIMITS, **changes)
