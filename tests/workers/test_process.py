"""The life of a worker: real processes from birth to end."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import trio

from config.ids import Endpoint, Role, WorkerName
from config.model import Config, LogFormat, LogSection, SupervisorSection
from ipc.bus import Publisher, Subscriber
from ipc.control import ControlClient, ControlServer, identity
from ipc.grid import BEAT
from ipc.handover import RECLAIM_SOCKET, assignment_pair, receive_claim, send_assignment
from ipc.messages import Message
from ipc.messages.lifecycle import (
    PROTOCOL_VERSION,
    Assignment,
    Descriptor,
    DescriptorKind,
    Drain,
    Farewell,
    Heartbeat,
    Hello,
    Ready,
    Reclaim,
    Rejected,
    Release,
    Released,
    Stop,
    Welcome,
    WorkerPhase,
)
from ipc.messages.routes import Routes, RoutesApplied
from ipc.messages.stats import SessionEvent, SessionEvents, SignalingStats
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory
from workers.worker import Worker

directory = short_directory
ROOT = Path(__file__).parents[2]
M = TypeVar("M")


async def test_a_drain_is_only_ever_brought_forward(directory: Path) -> None:
    assignment = Assignment(
        version=1,
        name=WorkerName("relay-0"),
        role=Role.RELAY,
        index=0,
        generation=1,
        config="{}",
        control=f"ipc://{directory}/control",
        bus=f"ipc://{directory}/bus",
        runtime_directory=str(directory),
        descriptors=(),
        ufrag_keys={},
        mint_with="",
    )
    control = ControlClient(assignment.control, b"relay-0:1:1")
    bus = Publisher(assignment.bus)
    lines = LogLines()
    worker = Worker(assignment, Config(), lines.log, [], control, bus)
    worker.drain(10, "first")
    worker.drain(20, "later is no news")
    assert lines.events() == ["draining"]
    worker.drain(5, "sooner is")
    assert lines.events() == ["draining", "draining"]
    # Strangers who take every descriptor must not end it by its own statistics.
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        assert worker.usage().rss_bytes > 1_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    control.close()
    bus.close()
    lines.close()


# --- real processes -------------------------------------------------------------------------------


class Nursery:
    """A supervisor's hands, for one worker at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.control_at = f"ipc://{directory}/control"
        self.bus_at = f"ipc://{directory}/bus"
        self.control = ControlServer(self.control_at)
        self.bus = Subscriber(self.bus_at)
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(("127.0.0.1", 0))
        self.peer = b""
        self._log = (directory / "log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def assignment(self, orphan_timeout: float = 300, **changes: Any) -> Assignment:
        config = Config(
            log=LogSection(format=LogFormat.JSON),
            supervisor=SupervisorSection(orphan_timeout=orphan_timeout, drain_timeout=1),
        )
        fields: dict[str, Any] = {
            "version": PROTOCOL_VERSION,
            "name": WorkerName("relay-0"),
            "role": Role.RELAY,
            "index": 0,
            "generation": 1,
            "config": config.model_dump_json(),
            "control": self.control_at,
            "bus": self.bus_at,
            "runtime_directory": str(self.directory),
            "descriptors": (
                Descriptor(kind=DescriptorKind.LINK, endpoint=Endpoint(*self.link.getsockname())),
            ),
            "ufrag_keys": {},
            "mint_with": "",
        }
        return Assignment(**(fields | changes))

    def spawn(
        self, assignment: Assignment, habit: str = "serve", memory: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        ours, theirs = assignment_pair()
        with ours, theirs:
            self._process = process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.stand_in_worker",
                    "--assignment-fd",
                    str(theirs.fileno()),
                ],
                pass_fds=(theirs.fileno(),),
                stderr=self._log,
                start_new_session=True,
                cwd=ROOT,
                env=os.environ | {"STAND_IN": habit},
            )
            send_assignment(ours, assignment, [self.link, *memory])
        self.peer = identity(assignment.name, assignment.generation, process.pid)
        return process

    async def hear(self, kind: type[M]) -> M:
        """The next message of that kind; heartbeats are answered on the way, others skipped."""
        while True:
            peer, message = await self.control.receive()
            assert peer == self.peer
            if isinstance(message, Heartbeat):
                self.control.send(peer, message)  # who sent it may have left since
            if isinstance(message, kind):
                return message

    def say(self, message: Message) -> None:
        assert self.control.send(self.peer, message)

    async def welcomed(
        self, assignment: Assignment, habit: str = "serve", memory: tuple[int, ...] = ()
    ) -> Ready:
        self.spawn(assignment, habit, memory)
        hello = await self.hear(Hello)
        assert hello.phase is WorkerPhase.STARTING
        self.say(Welcome(supervisor_pid=os.getpid()))
        return await self.hear(Ready)

    async def exit_code(self) -> int:
        assert self._process is not None
        return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    def lines(self) -> list[dict[str, Any]]:
        text = (self.directory / "log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def new_supervisor(self) -> None:
        self.control = ControlServer(self.control_at)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.control.close()
        self.bus.close()
        self.link.close()
        self._log.close()


@pytest.fixture
def nursery(directory: Path) -> Iterator[Nursery]:
    nursery = Nursery(directory)
    yield nursery
    nursery.close()


pytestmark = pytest.mark.process


async def test_a_life_from_birth_to_drain(nursery: Nursery) -> None:
    with trio.fail_after(20):
        ready = await nursery.welcomed(nursery.assignment())
        assert ready.link == nursery.link.getsockname()
        assert nursery.link.recv(100) == b"it works"
        heartbeat = await nursery.hear(Heartbeat)
        assert heartbeat == Heartbeat(phase=WorkerPhase.READY, sessions=7)
        stats = await anext(nursery.bus)
        assert isinstance(stats, SignalingStats)
        assert stats.worker == "relay-0"
        assert stats.usage.cpu_seconds > 0
        assert stats.usage.rss_bytes > 1_000_000
        nursery.say(Routes(serial=5, routes=()))
        assert await nursery.hear(RoutesApplied) == RoutesApplied(serial=5)
        nursery.say(Drain(within=10))
        assert await nursery.hear(Farewell) == Farewell(why="done")
        assert await nursery.exit_code() == 0
    assert nursery.events() == ["ready", "draining", "farewell"]
    assert {line["worker"] for line in nursery.lines()} == {"relay-0"}


async def test_who_has_nothing_new_to_say_says_so_every_other_second(nursery: Nursery) -> None:
    with trio.fail_after(30):
        await nursery.welcomed(nursery.assignment(), "slow")
        first = await nursery.hear(Heartbeat)  # news, so at any beat
        assert await nursery.hear(Heartbeat) == first
        began = trio.current_time()
        for _ in range(3):
            assert await nursery.hear(Heartbeat) == first
        # Heard late, on a busy machine, the first is nearer to the last than they were said.
        assert trio.current_time() - began > 3 * BEAT + BEAT / 2
        nursery.say(Drain(within=30))
        assert (await nursery.hear(Heartbeat)).phase is WorkerPhase.DRAINING
        nursery.say(Stop())
        assert await nursery.exit_code() == 0


async def test_sigterm_drains_and_a_second_one_stops_and_sigint_means_nothing(
    nursery: Nursery,
) -> None:
    with trio.fail_after(20):
        await nursery.welcomed(nursery.assignment(), "slow")
        process = nursery._process
        assert process is not None
        process.send_signal(signal.SIGINT)
        nursery.say(Drain(within=30))
        while (await nursery.hear(Heartbeat)).phase is not WorkerPhase.DRAINING:
            pass
        process.send_signal(signal.SIGTERM)
        while nursery.events().count("draining") < 2:
            await nursery.hear(Heartbeat)
        process.send_signal(signal.SIGTERM)
        await nursery.hear(Farewell)
        assert await nursery.exit_code() == 0
    assert nursery.events() == ["ready", "draining", "draining", "stopping", "farewell"]


async def test_told_to_stop_it_stops_at_once(nursery: Nursery) -> None:
    with trio.fail_after(20):
        await nursery.welcomed(nursery.assignment(), "stuck")
        nursery.say(Stop())
        await nursery.hear(Farewell)
        assert await nursery.exit_code() == 0


async def test_told_to_release_it_leaves_its_table_and_says_so(nursery: Nursery) -> None:
    table, sibling = os.memfd_create("table"), os.memfd_create("sibling")
    kinds = (DescriptorKind.TABLE, DescriptorKind.SIBLING)
    memory = tuple(Descriptor(kind, Endpoint("", 0)) for kind in kinds)
    with trio.fail_after(20):
        assignment = nursery.assignment()
        assignment = msgspec.structs.replace(
            assignment, descriptors=assignment.descriptors + memory
        )
        await nursery.welcomed(assignment, memory=(table, sibling))
        nursery.say(Release())
        await nursery.hear(Released)
        assert (await nursery.hear(Heartbeat)).phase is WorkerPhase.STARTING
        nursery.say(Stop())
        await nursery.hear(Farewell)
        assert await nursery.exit_code() == 0
    assert os.pread(table, 100, 0) == b"the flows"
    assert os.fstat(sibling).st_size == 0
    os.close(table)
    os.close(sibling)


async def released(nursery: Nursery, table: int) -> Ready:
    """It serves, and is told to release that table and has; gives what it had said when it served."""
    memory = (Descriptor(DescriptorKind.TABLE, Endpoint("", 0)),)
    assignment = nursery.assignment()
    assignment = msgspec.structs.replace(assignment, descriptors=assignment.descriptors + memory)
    ready = await nursery.welcomed(assignment, memory=(table,))
    nursery.say(Release())
    await nursery.hear(Released)
    return ready


async def test_what_it_released_is_its_own_again_when_another_supervisor_has_asked(
    nursery: Nursery,
) -> None:
    table = os.memfd_create("table")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(nursery.directory / RECLAIM_SOCKET))
    listener.listen()
    with trio.fail_after(20):
        ready = await released(nursery, table)
        nursery.say(Welcome(supervisor_pid=os.getpid()))  # crossed its Released
        nursery.say(Routes(serial=7, routes=()))
        nursery.control.close()
        nursery.new_supervisor()
        assert (await nursery.hear(Hello)).phase is WorkerPhase.STARTING
        nursery.say(Reclaim(b"token"))
        connection, _ = await trio.to_thread.run_sync(listener.accept, abandon_on_cancel=True)
        await trio.lowlevel.wait_readable(connection)
        claim, fds = receive_claim(connection)
        assert claim.ready is None
        assert os.path.sameopenfile(fds[1], table)
        nursery.say(Welcome(supervisor_pid=4711))
        nursery.say(Routes(serial=1, routes=()))
        assert await nursery.hear(Ready) == ready
        assert await nursery.hear(RoutesApplied) == RoutesApplied(1)
        nursery.say(Drain(within=5))
        assert await nursery.exit_code() == 0
    for fd in (*fds, table):
        os.close(fd)
    connection.close()
    listener.close()


@pytest.mark.parametrize("message", [Rejected("a younger process is relay-0"), Drain(within=60)])
async def test_who_only_keeps_what_it_released_ends_at_once(
    nursery: Nursery, message: Message
) -> None:
    table = os.memfd_create("table")
    with trio.fail_after(20):
        await released(nursery, table)
        nursery.say(message)
        await nursery.hear(Farewell)
        assert await nursery.exit_code() == 0
    os.close(table)


async def test_what_is_not_done_after_the_drain_deadline_is_cancelled(nursery: Nursery) -> None:
    with trio.fail_after(20):
        await nursery.welcomed(nursery.assignment(), "stuck")
        nursery.say(Drain(within=0))
        await nursery.hear(Farewell)
        assert await nursery.exit_code() == 0
    assert "not done at the drain deadline" in nursery.events()


@pytest.mark.parametrize("habit", ["crash", "crash later"])
async def test_a_bug_is_logged_with_its_traceback_and_told_to_the_supervisor(
    nursery: Nursery, habit: str
) -> None:
    with trio.fail_after(20):
        nursery.spawn(nursery.assignment(), habit)
        await nursery.hear(Hello)
        nursery.say(Welcome(supervisor_pid=1))
        assert await nursery.hear(Farewell) == Farewell(why="ValueError: boom")
        assert await nursery.exit_code() == 70
    failed = next(line for line in nursery.lines() if line["event"] == "worker failed")
    assert "stand_in_worker.py" in failed["exception"]
    assert "ValueError: boom" in failed["exception"]


async def test_a_socket_that_the_machine_refuses_is_no_bug_of_ours(nursery: Nursery) -> None:
    with trio.fail_after(20):
        nursery.spawn(nursery.assignment(), "no room")
        await nursery.hear(Hello)
        nursery.say(Welcome(supervisor_pid=1))
        farewell = await nursery.hear(Farewell)
        assert "No space left on device" in farewell.why
        assert await nursery.exit_code() == 70
    refused = next(line for line in nursery.lines() if line["event"] == "no socket to be asked at")
    assert "exception" not in refused


async def test_to_return_unasked_is_a_bug(nursery: Nursery) -> None:
    with trio.fail_after(20):
        nursery.spawn(nursery.assignment(), "return")
        await nursery.hear(Hello)
        nursery.say(Welcome(supervisor_pid=1))
        assert "nobody asked" in (await nursery.hear(Farewell)).why
        assert await nursery.exit_code() == 70


async def test_a_rejected_process_ends_with_the_reason(nursery: Nursery) -> None:
    with trio.fail_after(20):
        nursery.spawn(nursery.assignment())
        await nursery.hear(Hello)
        nursery.say(Rejected(why="wrong generation"))
        assert await nursery.exit_code() == 70
    assert nursery.lines()[0]["why"] == "wrong generation"


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        ({"role": Role.SIGNALING}, 70, "this is a relay, not a signaling"),
        ({"version": 99}, 70, "speaks version 99"),
        ({"control": "ipc:///" + "x" * 200}, 70, "choose a shorter runtime directory"),
        ({"config": '{"relay": {"listen": ["nonsense"]}}'}, 78, "is not ADDRESS:PORT"),
    ],
)
async def test_a_wrong_assignment_is_refused_with_a_reason(
    nursery: Nursery, changes: dict[str, Any], code: int, why: str
) -> None:
    with trio.fail_after(20):
        nursery.spawn(nursery.assignment(**changes))
        assert await nursery.exit_code() == code
    assert why in (nursery.directory / "log").read_text()


async def test_it_is_pinned_to_its_cpu(nursery: Nursery) -> None:
    cpu = max(os.sched_getaffinity(0))
    with trio.fail_after(20):
        ready = await nursery.welcomed(nursery.assignment(cpu=cpu))
        assert ready.datapath == f"cpu {cpu}"
        assert nursery._process is not None
        tasks = Path(f"/proc/{nursery._process.pid}/task")
        others = {
            int(task.name): os.sched_getaffinity(int(task.name))
            for task in tasks.iterdir()
            if "ZMQ" in (task / "comm").read_text()
        }
        nursery.say(Stop())
        await nursery.exit_code()
    assert others
    if len(os.sched_getaffinity(0)) > 1:
        assert all(cpu not in allowed for allowed in others.values())


async def test_it_serves_on_without_a_supervisor_and_greets_the_next_one(nursery: Nursery) -> None:
    with trio.fail_after(30):
        ready = await nursery.welcomed(nursery.assignment())
        nursery.control.close()
        while "orphaned" not in nursery.events():
            await trio.sleep(0.05)
        nursery.new_supervisor()
        hello = await nursery.hear(Hello)
        assert hello.phase is WorkerPhase.READY
        nursery.say(Welcome(supervisor_pid=4711))
        assert await nursery.hear(Ready) == ready
        while "no longer orphaned" not in nursery.events():
            await nursery.hear(Heartbeat)
        nursery.say(Drain(within=5))
        assert await nursery.exit_code() == 0
    assert nursery.events() == [
        "ready",
        "orphaned",
        "a new supervisor",
        "no longer orphaned",
        "draining",
        "farewell",
    ]


async def test_a_quick_successor_hears_hello_first(nursery: Nursery) -> None:
    with trio.fail_after(20):
        await nursery.welcomed(nursery.assignment())
        nursery.control.close()
        nursery.new_supervisor()
        peer, message = await nursery.control.receive()
        assert peer == nursery.peer
        assert isinstance(message, Hello)


async def test_an_orphan_drains_after_its_timeout(nursery: Nursery) -> None:
    with trio.fail_after(20):
        await nursery.welcomed(nursery.assignment(orphan_timeout=2))
        nursery.control.close()
        while True:
            message = await anext(nursery.bus)
            if isinstance(message, SessionEvents):
                assert message.events == (SessionEvent("", "draining"),)
                break
        assert await nursery.exit_code() == 0
    assert nursery.events() == ["ready", "orphaned", "draining", "farewell"]


async def test_a_spare_ends_quietly_with_its_supervisor(nursery: Nursery) -> None:
    ours, theirs = assignment_pair()
    with theirs:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.stand_in_worker",
                "--assignment-fd",
                str(theirs.fileno()),
            ],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        ours.close()
    with process:
        _, said = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0
    assert said == b""
