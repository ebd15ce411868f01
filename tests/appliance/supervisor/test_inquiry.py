"""Questions that only workers can answer, put to stand-ins that speak real rpc."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.supervisor import inquiry as module
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.worker import Place
from appliance.supervisor.inquiry import MOST_SESSIONS, Inquiry
from config.ids import (
    ClusterId,
    Endpoint,
    Epoch,
    HostId,
    Role,
    Route,
    SessionId,
    TransceiverId,
    WorkerName,
)
from ipc.codec import encode
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.details import FindSession, PathDetail, SessionDetail
from ipc.messages.fleet import FleetHost, FleetPlace
from ipc.messages.flows import (
    DecodeUfrag,
    FlowList,
    FlowsRequest,
    FlowSummary,
    ListFlows,
    UfragDecoded,
)
from ipc.messages.places import PlaceList, PlacesRequest, RankedHost, RankedPlace, RankedPlaces
from ipc.messages.sessions import (
    CloseReason,
    EndSession,
    ListSessions,
    SessionEnded,
    SessionList,
    SessionSummary,
    SessionUnknown,
)
from ipc.messages.trace import TraceReply, TraceRequest, Verdict
from ipc.rpc import RpcServer
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory as short_directory

Answer = Callable[[Message], Awaitable[Message]]
CLIENT, LOCAL = Endpoint("192.0.2.9", 5), Endpoint("192.0.2.1", 3478)
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(7))
HOSTS = (
    FleetHost(
        HostId("0" * 16),
        ClusterId(0),
        "ready",
        advertise=(LOCAL,),
        relays=(CLIENT,),
        place=FleetPlace("oslo"),
    ),
)
LIVING, OVER = SessionId("rtc_0_0living"), SessionId("rtc_0_0over")


def summary(session: str) -> SessionSummary:
    return SessionSummary(SessionId(session), "connected", 1.0, "", "opus", 1, 1, 0, 0.0)


def flow(label: int = 0x105, state: str = "assured") -> FlowSummary:
    return FlowSummary(CLIENT, LOCAL, label, ROUTE, state, 0.5)


def link(name: str) -> Endpoint:
    return Endpoint("127.0.0.1", 1000 * len(name) + int(name[-1]))


async def transceiver(request: Message) -> Message:
    """It has one session, whose client comes by relay-0 with label 0x105, and had another."""
    match request:
        case ListSessions(limit=limit):
            return SessionList((summary(LIVING),)[:limit], 3)
        case FindSession(session=session, ufrag=ufrag, relay=relay, label=label):
            by_label = (relay, label) == (link("relay-0"), 0x105)
            if session == LIVING or ufrag == "0living" or by_label:
                way = PathDetail(f"{CLIENT}>{LOCAL}/udp", relay=link("relay-0"), label=0x105)
                return SessionDetail(summary(LIVING), "echo", paths=(way,))
            return SessionUnknown(session, CloseReason.IDLE if session == OVER else None)
        case EndSession(session=session):
            known = session == LIVING
            return SessionEnded(session) if known else SessionUnknown(session)
        case _:
            return Failure("not asked here")


async def empty_transceiver(request: Message) -> Message:
    match request:
        case ListSessions():
            return SessionList((), 0)
        case FindSession(session=session) | EndSession(session=session):
            return SessionUnknown(session)
        case _:
            return Failure("not asked here")


async def relay(request: Message) -> Message:
    """It has one flow, and keys that know three ufrags."""
    match request:
        case ListFlows(client=client):
            rows = (flow(),) if client in (None, CLIENT) else ()
            return FlowList(rows, len(rows))
        case DecodeUfrag(ufrag=ufrag) if ufrag.startswith("0"):
            return UfragDecoded(route=ROUTE, link=link("transceiver-1"))
        case DecodeUfrag(ufrag=ufrag):
            unknown = ufrag.startswith("x")
            return UfragDecoded("unknown_key") if unknown else UfragDecoded("forged_ufrag", "check")
        case _:
            return Failure("not asked here")


async def relay_without(request: Message) -> Message:
    return FlowList((), 0) if isinstance(request, ListFlows) else await relay(request)


async def signaling(request: Message) -> Message:
    """Answers name relays in Oslo."""
    assert isinstance(request, PlacesRequest)
    hosts = (RankedHost(HOSTS[0].advertise, "well"),)
    return RankedPlaces((RankedPlace("oslo", False, request.location, (), hosts, 1),))


ALL: Mapping[str, Answer] = {
    "relay-0": relay,
    "relay-1": relay_without,
    "transceiver-0": empty_transceiver,
    "transceiver-1": transceiver,
}


@asynccontextmanager
async def asking(
    directory: Path, workers: Mapping[str, Answer], silent: tuple[str, ...] = ()
) -> AsyncIterator[Inquiry]:
    """An inquiry among workers that answer so, and some that do not."""
    lines = LogLines()

    def place(name: str) -> Place:
        role = Role[name.partition("-")[0].upper()]
        number = TransceiverId(int(name[-1]))
        route = ROUTE._replace(transceiver=number) if role is Role.TRANSCEIVER else None
        rpc = f"ipc://{directory}/{name}"
        return Place(WorkerName(name), role, WorkerState.READY, route, link(name), rpc)

    places = tuple(place(name) for name in (*workers, *silent))
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            for name, answer in workers.items():
                endpoint = f"ipc://{directory}/{name}"
                server = stack.enter_context(RpcServer(endpoint, log=lines.log))
                nursery.start_soon(server.serve, answer)
            yield Inquiry(lambda: places, lambda: HOSTS, ClusterId(0), lines.log)
            nursery.cancel_scope.cancel()
    assert bool(silent) == ("no answer" in lines.events())
    lines.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", 1.0)


async def test_sessions_of_all_transceivers_that_answer(short_directory: Path) -> None:
    async with asking(short_directory, ALL, silent=("transceiver-2",)) as inquiry:
        found = await inquiry.sessions(10)
    assert isinstance(found, SessionList)
    assert [(row.session, row.worker) for row in found.rows] == [(LIVING, "transceiver-1")]
    assert found.total == 3


async def test_however_many_are_asked_for_the_reply_fits_into_a_message(
    short_directory: Path,
) -> None:
    path = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
    row = SessionSummary(
        session=SessionId(f"rtc_65535_{'x' * 23}"),
        state="connected",
        age=86_400.125,
        path=f"{path}>{path}/udp",
        codec="opus",
        packets_in=1 << 40,
        packets_out=1 << 40,
        lost=1 << 40,
        jitter_ms=12.5,
        round_trip_ms=12.5,
        peer_lost=1 << 40,
        peer_jitter_ms=12.5,
    )

    async def crowded(request: Message) -> Message:
        assert isinstance(request, ListSessions)
        return SessionList((row,) * min(request.limit, 5_000), 5_000)

    crowd = {"transceiver-1": crowded, "transceiver-2": crowded}
    async with asking(short_directory, crowd) as inquiry:
        found = await inquiry.sessions(100_000)
    assert isinstance(found, SessionList)
    assert found.total == 10_000
    assert len(found.rows) == MOST_SESSIONS
    encode(found)


async def test_no_transceiver_answers(short_directory: Path) -> None:
    async with asking(short_directory, {}, silent=("transceiver-0",)) as inquiry:
        assert await inquiry.sessions(10) == Failure("no transceiver answered in time")
    async with asking(short_directory, {}) as inquiry:
        assert await inquiry.sessions(10) == SessionList((), 0)


async def test_one_session_with_the_names_of_its_workers(short_directory: Path) -> None:
    async with asking(short_directory, ALL) as inquiry:
        found = await inquiry.find(FindSession(LIVING))
        over = await inquiry.find(FindSession(OVER))
    assert isinstance(found, SessionDetail)
    assert found.summary.worker == "transceiver-1"
    assert found.paths[0].worker == "relay-0"
    assert over == SessionUnknown(OVER, CloseReason.IDLE)


async def test_who_is_silent_may_have_the_session(short_directory: Path) -> None:
    async with asking(short_directory, ALL, silent=("transceiver-2",)) as inquiry:
        found = await inquiry.find(FindSession(OVER))
    assert isinstance(found, Failure)
    assert "transceiver-2 did not answer" in found.why


async def test_an_end(short_directory: Path) -> None:
    async with asking(short_directory, ALL) as inquiry:
        assert await inquiry.end(EndSession(LIVING)) == SessionEnded(LIVING)
        assert await inquiry.end(EndSession(OVER)) == SessionUnknown(OVER)


async def test_flows_of_all_relays_or_of_one(short_directory: Path) -> None:
    async with asking(short_directory, ALL) as inquiry:
        everywhere = await inquiry.flows(FlowsRequest())
        there = await inquiry.flows(FlowsRequest("relay-1"))
        nowhere = await inquiry.flows(FlowsRequest("relay-9"))
    assert isinstance(everywhere, FlowList)
    assert [(row.worker, row.label) for row in everywhere.rows] == [("relay-0", 0x105)]
    assert there == FlowList((), 0)
    assert nowhere == Failure("no relay 'relay-9' serves; there are: relay-0, relay-1")


async def test_places_are_as_signaling_sees_them_if_there_is_some(short_directory: Path) -> None:
    request = PlacesRequest((59.9, 10.7))
    async with asking(short_directory, {"signaling-0": signaling}) as inquiry:
        found = await inquiry.places(request)
        nowhere = await inquiry.places(PlacesRequest((99.0, 0.0)))
    assert isinstance(found, PlaceList)
    assert found.ranked
    assert [(row.site, row.own, row.rank, row.health) for row in found.rows] == [
        ("oslo", True, 1, "well")
    ]
    assert isinstance(nowhere, Failure)
    async with asking(short_directory, {"relay-0": relay}) as inquiry:
        alone = await inquiry.places(request)
    assert isinstance(alone, PlaceList)
    assert not alone.ranked
    assert len(alone.rows) == 1


async def test_a_global_relay_knows_where_its_clients_go_on(short_directory: Path) -> None:
    async def beyond(request: Message) -> Message:
        assert isinstance(request, ListFlows)
        there = ROUTE._replace(cluster=ClusterId(7))
        row = FlowSummary(CLIENT, LOCAL, 1, there, "assured", 0.5, Endpoint("10.7.0.1", 3479))
        return FlowList((row,), 1)

    async with asking(short_directory, {"relay-0": beyond}) as inquiry:
        reply = await inquiry.trace(TraceRequest(str(CLIENT)))
    assert isinstance(reply, TraceReply)
    assert reply.verdict is Verdict.OTHER_CLUSTER
    assert "goes on to 10.7.0.1:3479" in reply.why


@pytest.mark.parametrize(
    ("what", "verdict", "kind", "why"),
    [
        ("0living", Verdict.LIVE, "ufrag", ""),
        ("0living:theirs", Verdict.LIVE, "ufrag", ""),
        (str(LIVING), Verdict.LIVE, "session", ""),
        (str(CLIENT), Verdict.LIVE, "client", ""),
        (str(OVER), Verdict.ENDED, "session", "idle"),
        ("0never", Verdict.NO_SESSION, "ufrag", "transceiver-1 has no such session"),
        ("xliving", Verdict.UNKNOWN_KEY, "ufrag", "does not have"),
        ("forged", Verdict.FORGED, "ufrag", "not sealed with that key"),
        ("192.0.2.200:1", Verdict.NO_FLOW, "client", "no relay has a flow"),
    ],
)
async def test_where_it_leads(
    short_directory: Path, what: str, verdict: Verdict, kind: str, why: str
) -> None:
    async with asking(short_directory, ALL) as inquiry:
        found = await inquiry.trace(TraceRequest(what))
    assert isinstance(found, TraceReply)
    assert (found.verdict, found.kind) == (verdict, kind)
    assert why in found.why
    if verdict is Verdict.LIVE:
        assert (found.route, found.worker) == (ROUTE, "transceiver-1")
        assert found.session is not None
        assert found.session.summary.session == LIVING
        assert [(row.worker, row.label) for row in found.flows] == [("relay-0", 0x105)]


async def test_a_flow_that_waits(short_directory: Path) -> None:
    async def hesitant(request: Message) -> Message:
        return FlowList((flow(state="pending"),), 1)

    async with asking(short_directory, {**ALL, "relay-0": hesitant}) as inquiry:
        found = await inquiry.trace(TraceRequest(str(CLIENT)))
    assert isinstance(found, TraceReply)
    assert (found.verdict, found.worker) == (Verdict.PENDING, "transceiver-1")
    assert "relay-0 waits until transceiver-1" in found.why


async def test_nobody_who_could_tell(short_directory: Path) -> None:
    async with asking(short_directory, {"relay-1": relay_without}, ("relay-0",)) as inquiry:
        found = await inquiry.trace(TraceRequest(str(CLIENT)))
        assert isinstance(found, TraceReply)
        assert (found.verdict, found.why) == (Verdict.NO_ANSWER, "1 of 2 relays answered")
        assert isinstance(await inquiry.trace(TraceRequest("what is this")), Failure)
    async with asking(short_directory, {}) as inquiry:
        found = await inquiry.trace(TraceRequest("0living"))
        assert isinstance(found, TraceReply)
        assert found.verdict is Verdict.NO_ANSWER
