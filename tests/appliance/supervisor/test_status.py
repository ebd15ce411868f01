"""The operators' desk: status with the newest counters, sessions of all transceivers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from appliance.supervisor import status as desk_module
from appliance.supervisor.core.interface import CordonRequested
from appliance.supervisor.status import AdminDesk
from appliance.supervisor.supervisor import page_url
from config.ids import Endpoint, SessionId, WorkerName
from ipc.messages import Message
from ipc.messages.admin import (
    CordonRequest,
    DiffRequest,
    Failure,
    ReloadReply,
    ReloadRequest,
    SessionsRequest,
    StatusReply,
    StatusRequest,
    WorkerStatus,
)
from ipc.messages.lifecycle import Stop
from ipc.messages.sessions import ListSessions, SessionList, SessionSummary
from ipc.messages.stats import ProcessUsage, SignalingStats
from ipc.rpc import RpcServer
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory as short_directory

S0 = WorkerName("signaling-0")
STATUS = StatusReply(
    version="1",
    pid=1,
    state="ready",
    uptime=1.0,
    page="http://127.0.0.1:1/",
    listen=(),
    advertise=(),
    workers=(WorkerStatus(S0, "ready", 5, None, 0, 1.0, 0),),
)
STATS = SignalingStats(S0, ProcessUsage(0.5, 1000), 3, {"201": 1}, 0)


def desk(owners: dict[WorkerName, str], lines: LogLines) -> AdminDesk:
    async def reload(request: ReloadRequest) -> ReloadReply:
        return ReloadReply(replaced=("relay-0",) if request.roll else ())

    def compare(request: DiffRequest) -> ReloadReply:
        return ReloadReply(problems=(request.source,))

    def cordon(request: CordonRequested) -> str:
        return "" if request.lift else f"no {request.workers}"

    return AdminDesk(lambda: STATUS, lambda: owners, reload, compare, cordon, lines.log)


def transceiver(name: str, count: int) -> Callable[[Message], Awaitable[Message]]:
    async def answer(request: Message) -> Message:
        assert isinstance(request, ListSessions)
        rows = [
            SessionSummary(
                SessionId(f"rtc_0_{name}{i}"), "connected", 1.0, "", "opus", 1, 1, 0, 0.0
            )
            for i in range(count)
        ]
        return SessionList(tuple(rows[: request.limit]), count)

    return answer


async def test_status_has_the_newest_counters_of_each_worker() -> None:
    lines = LogLines()
    admin = desk({}, lines)
    reply = await admin.answer(StatusRequest())
    assert reply == STATUS
    admin.keep_stats(STATS)
    reply = await admin.answer(StatusRequest())
    assert isinstance(reply, StatusReply)
    assert reply.workers[0].stats == STATS
    admin.forget_stats(S0)
    assert await admin.answer(StatusRequest()) == STATUS
    lines.close()


async def test_other_questions_are_refused() -> None:
    lines = LogLines()
    assert await desk({}, lines).answer(Stop()) == Failure(why="Stop is not asked here")
    lines.close()


async def test_sessions_of_all_transceivers_that_answer(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SESSIONS_WITHIN", 0.5)
    lines = LogLines()
    owners = {WorkerName(f"transceiver-{i}"): f"ipc://{short_directory}/{i}" for i in range(3)}
    ends = list(owners.values())
    with RpcServer(ends[0], log=lines.log) as one, RpcServer(ends[1], log=lines.log) as two:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.serve, transceiver("a", 2))
            nursery.start_soon(two.serve, transceiver("b", 3))
            reply = await desk(owners, lines).answer(SessionsRequest(limit=4))
            nursery.cancel_scope.cancel()
    assert isinstance(reply, SessionList)
    assert reply.total == 5
    assert [row.worker for row in reply.rows] == [
        "transceiver-0",
        "transceiver-0",
        "transceiver-1",
        "transceiver-1",
    ]
    assert lines.events() == ["sessions not listed"]
    lines.close()


async def test_no_transceiver_answers(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SESSIONS_WITHIN", 0.05)
    lines = LogLines()
    owners = {WorkerName("transceiver-0"): f"ipc://{short_directory}/gone"}
    reply = await desk(owners, lines).answer(SessionsRequest())
    assert reply == Failure(why="no transceiver answered in time")
    assert await desk({}, lines).answer(SessionsRequest()) == SessionList((), 0)
    lines.close()


def test_the_page_is_named_as_one_would_open_it() -> None:
    assert page_url([]) == ""
    assert page_url([Endpoint("127.0.0.1", 8080)]) == "http://127.0.0.1:8080/"
    assert page_url([Endpoint("0.0.0.0", 80)]) == "http://127.0.0.1:80/"
    assert page_url([Endpoint("::", 8080)]) == "http://[::1]:8080/"


async def test_a_reload_is_passed_on() -> None:
    lines = LogLines()
    assert await desk({}, lines).answer(ReloadRequest(roll=True)) == ReloadReply(
        replaced=("relay-0",)
    )
    assert await desk({}, lines).answer(DiffRequest("", "f")) == ReloadReply(problems=("f",))
    lines.close()


async def test_a_cordon_is_answered_with_the_status_it_makes_or_the_problem() -> None:
    lines = LogLines()
    assert await desk({}, lines).answer(CordonRequest(("x",))) == Failure("no ('x',)")
    assert await desk({}, lines).answer(CordonRequest(lift=True)) == STATUS
    lines.close()
