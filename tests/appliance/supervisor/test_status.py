"""The operators' desk: status with the newest counters, sessions of all transceivers."""

from __future__ import annotations

from appliance.supervisor.appliance import page_url
from appliance.supervisor.core.interface import CordonRequested
from appliance.supervisor.events import EventDesk
from appliance.supervisor.inquiry import Inquiry
from appliance.supervisor.status import AdminDesk
from config.ids import ClusterId, Endpoint, SessionId, WorkerName
from ipc.messages.admin import (
    CordonRequest,
    DiffRequest,
    Failure,
    ReloadReply,
    ReloadRequest,
    SessionsRequest,
    StatusReply,
    StatusRequest,
    UpgradeReply,
    UpgradeRequest,
    WorkerStatus,
)
from ipc.messages.details import FindSession
from ipc.messages.flows import FlowsRequest
from ipc.messages.keys import KeysReply, KeysRequest, RotateKeys
from ipc.messages.lifecycle import Stop
from ipc.messages.sessions import EndSession, SessionList, SessionUnknown
from ipc.messages.stats import ProcessUsage, SignalingStats
from ipc.messages.trace import TraceReply, TraceRequest, Verdict
from tests.support.quiet_log import LogLines

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


class NoKeys:
    """Of a host that has none."""

    async def answer(self, request: KeysRequest | RotateKeys) -> KeysReply | Failure:
        return KeysReply(()) if isinstance(request, KeysRequest) else Failure("no keys here")


def desk(lines: LogLines) -> AdminDesk:
    async def reload(request: ReloadRequest) -> ReloadReply:
        return ReloadReply(replaced=("relay-0",) if request.roll else ())

    def compare(request: DiffRequest) -> ReloadReply:
        return ReloadReply(problems=(request.source,))

    def cordon(request: CordonRequested) -> str:
        return "" if request.lift else f"no {request.workers}"

    async def upgrade(request: UpgradeRequest) -> UpgradeReply:
        return UpgradeReply("1", "2", leaving=request.force)

    inquiry = Inquiry(lambda: (), lambda: (), ClusterId(0), lines.log)
    events, keys = EventDesk(), NoKeys()
    return AdminDesk(lambda: STATUS, inquiry, reload, compare, cordon, events, keys.answer, upgrade)


async def test_status_has_the_newest_counters_of_each_worker() -> None:
    lines = LogLines()
    admin = desk(lines)
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
    assert await desk(lines).answer(Stop()) == Failure(why="Stop is not asked here")
    lines.close()


async def test_what_workers_know_is_asked_of_them() -> None:
    lines = LogLines()
    nobody = SessionId("rtc_0_x")
    admin = desk(lines)
    assert await admin.answer(SessionsRequest(limit=4)) == SessionList((), 0)
    assert await admin.answer(FindSession(nobody)) == SessionUnknown(nobody)
    assert await admin.answer(EndSession(nobody)) == SessionUnknown(nobody)
    assert isinstance(await admin.answer(FlowsRequest()), Failure)
    traced = await admin.answer(TraceRequest("0abc"))
    assert isinstance(traced, TraceReply)
    assert traced.verdict is Verdict.NO_ANSWER
    lines.close()


def test_the_page_is_named_as_one_would_open_it() -> None:
    assert page_url([]) == ""
    assert page_url([Endpoint("127.0.0.1", 8080)]) == "http://127.0.0.1:8080/"
    assert page_url([Endpoint("0.0.0.0", 80)]) == "http://127.0.0.1:80/"
    assert page_url([Endpoint("::", 8080)]) == "http://[::1]:8080/"


async def test_a_reload_is_passed_on() -> None:
    lines = LogLines()
    assert await desk(lines).answer(ReloadRequest(roll=True)) == ReloadReply(replaced=("relay-0",))
    assert await desk(lines).answer(DiffRequest("", "f")) == ReloadReply(problems=("f",))
    lines.close()


async def test_a_cordon_is_answered_with_the_status_it_makes_or_the_problem() -> None:
    lines = LogLines()
    assert await desk(lines).answer(CordonRequest(("x",))) == Failure("no ('x',)")
    assert await desk(lines).answer(CordonRequest(lift=True)) == STATUS
    answer = await desk(lines).answer(UpgradeRequest(force=True))
    assert answer == UpgradeReply("1", "2", leaving=True)
    lines.close()


async def test_keys_are_asked_of_who_has_them() -> None:
    lines = LogLines()
    assert await desk(lines).answer(KeysRequest()) == KeysReply(())
    assert await desk(lines).answer(RotateKeys()) == Failure("no keys here")
    lines.close()
