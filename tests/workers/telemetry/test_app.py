"""The routes, with a supervisor that answers, one that is silent, and one that comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import structlog
import trio
from prometheus_client.openmetrics import parser as open_metrics

from config.ids import Endpoint, SessionId
from ipc.messages import Message
from ipc.messages.admin import SessionsRequest, StatusReply
from ipc.messages.sessions import SessionList, SessionSummary
from ipc.rpc import RpcServer
from tests.support.short_path import short_directory as short_directory
from tests.support.statuses import every_role
from workers.telemetry import source as asking
from workers.telemetry.app import make_application
from workers.telemetry.core.history import History
from workers.telemetry.source import Source

LOOPBACK = (Endpoint("127.0.0.1", 9090),)
ROW = SessionSummary(
    SessionId("rtc_0_" + "t" * 24), "connected", 1.0, "a>b/udp", "opus", 1, 2, 0, 0.5
)


class Supervisor:
    """What it says of the appliance, and how often it was asked."""

    def __init__(self) -> None:
        self.status: StatusReply = every_role()
        self.asked = 0

    async def answer(self, request: Message) -> Message:
        self.asked += 1
        if isinstance(request, SessionsRequest):
            return SessionList((ROW,) * min(request.limit, 3), 3)
        return self.status


class Stage:
    """An application, its client, and the supervisor behind it."""

    def __init__(self, endpoint: str, source: Source, listen: tuple[Endpoint, ...]) -> None:
        self.endpoint = endpoint
        self.source = source
        self.supervisor = Supervisor()
        self.history = History()
        application = make_application(source, self.history, listen, 42)
        transport = httpx.ASGITransport(app=application)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9090")

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with RpcServer(self.endpoint, log=structlog.get_logger()) as server:
            task_status.started()
            await server.serve(self.supervisor.answer)


@asynccontextmanager
async def stage(
    directory: Path, *, answers: bool = True, listen: tuple[Endpoint, ...] = LOOPBACK
) -> AsyncIterator[Stage]:
    endpoint = f"ipc://{directory}/admin.sock"
    with Source(endpoint) as source:
        built = Stage(endpoint, source, listen)
        async with built.client, trio.open_nursery() as nursery:
            if answers:
                await nursery.start(built.serve)
            yield built
            nursery.cancel_scope.cancel()


async def test_metrics_in_both_formats(short_directory: Path) -> None:
    async with stage(short_directory) as it:
        plain = await it.client.get("/metrics")
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "tandem_supervisor_up 1\n" in plain.text
        wanted = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        fancy = await it.client.get("/metrics", headers=wanted)
        assert fancy.headers["content-type"].startswith("application/openmetrics-text")
        assert len(list(open_metrics.text_string_to_metric_families(fancy.text))) > 40  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("state", "code"), [("ready", 200), ("degraded", 200), ("starting", 503), ("draining", 503)]
)
async def test_ready_is_who_takes_calls(short_directory: Path, state: str, code: int) -> None:
    async with stage(short_directory) as it:
        it.supervisor.status = msgspec.structs.replace(every_role(), state=state)
        assert (await it.client.get("/readyz")).status_code == code
        assert (await it.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("state", ["cordoned", "degraded"])
async def test_who_was_drained_is_not_ready_whatever_else_it_is(
    short_directory: Path, state: str
) -> None:
    async with stage(short_directory) as it:
        it.supervisor.status = msgspec.structs.replace(every_role(), state=state, cordoned=True)
        assert (await it.client.get("/readyz")).status_code == 503


async def test_without_a_supervisor_it_says_so_and_finds_the_next_one(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WITHIN", 0.2)
    async with stage(short_directory, answers=False) as it:
        it.history.add(every_role(), 5)
        assert "tandem_supervisor_up 0\n" in (await it.client.get("/metrics")).text
        assert (await it.client.get("/readyz")).status_code == 503
        assert (await it.client.get("/healthz")).status_code == 200
        assert (await it.client.get("/sessions.json")).json() is None
        told = (await it.client.get("/data.json")).json()
        assert told["status"] is None
        assert told["samples"]["at"] == [5]
        assert it.source.unanswered >= 2
        monkeypatch.setattr(asking, "WITHIN", 30.0)
        async with trio.open_nursery() as nursery:
            await nursery.start(it.serve)
            while await it.source.status() is None:
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()


async def test_many_who_ask_at_once_are_one_question(short_directory: Path) -> None:
    async with stage(short_directory) as it:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(it.client.get, "/metrics")
                nursery.start_soon(it.client.get, "/sessions.json")
        assert it.supervisor.asked <= 4, "one a kind, and one more if this machine is very slow"


async def test_the_page_loads_nothing_from_elsewhere(short_directory: Path) -> None:
    async with stage(short_directory) as it:
        page = await it.client.get("/")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for name in ("index.html", "app.js", "charts.js", "style.css", "icon.svg"):
            path = "/" if name == "index.html" else f"/{name}"
            file = await it.client.get(path)
            assert file.status_code == 200
            outside = file.text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
            assert "http:" not in outside
            assert "https:" not in outside
            again = await it.client.get(path, headers={"if-none-match": file.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/metrics", "/data.json", "/sessions.json", "/"])
async def test_a_page_of_a_stranger_who_names_this_machine_reads_nothing(
    short_directory: Path, path: str
) -> None:
    async with stage(short_directory) as it:
        answer = await it.client.get(path, headers={"host": "evil.example:9090"})
        assert answer.status_code == 421
        assert answer.json()["type"] == "urn:tandem:problem:misdirected"
    async with stage(short_directory, listen=(Endpoint("192.0.2.1", 9090),)) as it:
        answer = await it.client.get(path, headers={"host": "edge-1.example:9090"})
        assert answer.status_code == 200


async def test_what_the_page_asks_for_is_bounded_and_never_cached(short_directory: Path) -> None:
    async with stage(short_directory) as it:
        for after in ("-1", "x", "9" * 400, "٣", "1e9", "99999999999999"):
            answer = await it.client.get("/data.json", params={"after": after})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
        told = (await it.client.get("/sessions.json")).json()
        assert [row["session"] for row in told["rows"]] == ["rtc_0_tttttttt"] * 3
        assert (await it.client.post("/metrics")).status_code == 405
        assert (await it.client.get("/nothing")).status_code == 404
