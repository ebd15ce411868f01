"""What a role's `serve` gets, and its life: Hello, Ready, heartbeats, drain, release.

A worker outlives its supervisor on purpose: live sessions go on while the supervisor is replaced. It says
once that it is orphaned, says Hello until somebody answers, and drains by itself when nobody has for
`supervisor.orphan_timeout`.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import trio

from config.ids import Endpoint
from config.model import Config
from ipc import grid
from ipc.bus import Publisher
from ipc.control import ControlClient
from ipc.handover import RECLAIM_SOCKET, HandoverError
from ipc.log import Logger
from ipc.messages import Message
from ipc.messages.fleet import Announce, FleetView
from ipc.messages.lifecycle import (
    PROTOCOL_VERSION,
    Assignment,
    Claim,
    DescriptorKind,
    Drain,
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
from ipc.messages.routes import Relays, Routes, Transceivers
from ipc.messages.stats import ProcessUsage, WorkerStats
from ipc.release import release
from ipc.usage import usage
from workers.holdings import Holdings
from workers.inbox import Inbox
from workers.pulse import Pulse
from workers.reserve import Reserve
from workers.tether import Beat, Tether

WELCOME_WITHIN: Final = 30.0
"""Seconds a new process waits to be welcomed before it gives up."""
DRAIN_GRACE: Final = 5.0
"""Seconds after the drain deadline until `serve` is cancelled."""

Serve: TypeAlias = Callable[["Worker"], Awaitable[None]]


class Unwanted(Exception):
    """The supervisor rejected this process, or none was there to welcome it."""


class Worker:
    """What a role's `serve` gets: its assignment, its sockets and the way to its supervisor."""

    def __init__(
        self,
        assignment: Assignment,
        config: Config,
        log: Logger,
        fds: list[int],
        control: ControlClient,
        bus: Publisher,
        channel: socket.socket | None = None,
    ) -> None:
        """`fds` are those of `assignment.descriptors`; they and `channel` are ours from now on."""
        self.assignment = assignment
        self.config = config
        self.log = log
        self.draining = trio.Event()
        """Take nothing new; return from `serve` when the rest is done."""
        self.drain_deadline: float | None = None
        """When to be done, in trio time; set before `draining`."""
        self.releasing = trio.Event()
        """A successor waits for our sockets and table: leave them as they are and return from `serve`.

        Should the supervisor die before that one is born, `serve` is called again.
        """
        self._inbox = Inbox()
        self.commands = self._inbox.commands
        """What the supervisor says to this role, each the whole truth: of more than 16 the oldest go."""
        self.holdings = Holdings(assignment.descriptors, fds, channel)
        self._control = control
        self.lost = control.lost
        """Messages that came to nothing, of whatever end point this process has."""
        self._tether = Tether(config.supervisor.orphan_timeout, trio.current_time())
        self._bus = bus
        self._fall_silent()
        self._serving = trio.CancelScope()
        self._stopped = False

    def _fall_silent(self) -> None:
        """Nothing is served, so there is nothing to tell."""
        self._ready: Ready | None = None
        self._load: Callable[[], int] = int
        self._stats: Callable[[], WorkerStats] | None = None
        self._news: Callable[[], None] = lambda: None

    def sockets(self, kind: DescriptorKind) -> list[tuple[Endpoint, socket.socket]]:
        """The non-blocking sockets of that kind, each with what it is bound to."""
        return self.holdings.sockets(kind)

    def table(self) -> int | None:
        """Descriptor of the shared memory that outlives this process, or None if there is none.

        It is empty (0 bytes) until a process of this name gives it a size. Stays open; the worker's own.
        """
        return self.holdings.table()

    def sibling_tables(self) -> list[int]:
        """Descriptors of the other relays' shared memory, for reading only; may be empty like `table`."""
        return self.holdings.sibling_tables()

    @property
    def rpc_endpoint(self) -> str:
        """Where this process may answer requests; no other one ever has that end point."""
        assignment = self.assignment
        return f"ipc://{assignment.runtime_directory}/{assignment.name}-{assignment.generation}.rpc"

    async def ready(self, ready: Ready) -> None:
        """Say that this worker serves now; said again to every later supervisor."""
        self._ready = ready
        said = msgspec.structs.asdict(ready)
        self.log.info("ready", **{name: str(value) for name, value in said.items() if value})
        await self.send(ready)

    async def send(self, message: Message) -> None:
        """Tell the supervisor. Lost if there is none: the next one is told the whole truth anyway."""
        await trio.lowlevel.checkpoint()
        if self._tether.knows(self._control.connection):
            self._control.send_nowait(message)

    def publish(self, message: Message) -> bool:
        """Put a message on the bus; never waits. False, and counted, if it was dropped."""
        return self._bus.publish(message)

    def set_news(self, tell: Callable[[], None]) -> None:
        """What else to publish, asked once a second."""
        self._news = tell

    def set_load(self, load: Callable[[], int]) -> None:
        """Where the heartbeat's `sessions` comes from."""
        self._load = load

    def set_stats(self, stats: Callable[[], WorkerStats]) -> None:
        """What to publish, asked once a second: every other if nothing but its `usage` is new."""
        self._stats = stats

    def usage(self) -> ProcessUsage:
        """CPU, memory and lost messages of this process so far."""
        return usage(self.lost)

    @property
    def phase(self) -> WorkerPhase:
        """What this worker says of itself."""
        if self.draining.is_set():
            return WorkerPhase.DRAINING
        return WorkerPhase.STARTING if self._ready is None else WorkerPhase.READY

    def drain(self, within: float, why: str) -> None:
        """Begin to drain, or bring the deadline forward."""
        deadline = trio.current_time() + within
        if self.drain_deadline is None or deadline < self.drain_deadline:
            self.drain_deadline = deadline
            self._serving.deadline = deadline + DRAIN_GRACE
            self.log.info("draining", why=why, within=within)
        self.draining.set()

    def stop(self, why: str) -> None:
        """Cancel `serve`."""
        if not self._stopped:
            self._stopped = True
            self.log.info("stopping", why=why)
            self._serving.cancel()

    def _begin_anew(self) -> None:
        """What was released is ours again, by another supervisor."""
        self._inbox.clear()
        self.releasing = trio.Event()


class Life:
    """The tasks beside `serve`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._control = worker._control
        self._log = worker.log
        self._tether = worker._tether
        self._welcomed = trio.Event()
        self._reserve = Reserve()
        self._pulse = Pulse()

    async def run(self, serve: Serve) -> None:
        """Serve until told to end. Raises Unwanted, and what `serve` raises, alone or in a group."""
        worker = self._worker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear_signals)
            nursery.start_soon(self._hear_supervisor)
            nursery.start_soon(self._beat)
            with worker._serving:
                with trio.move_on_after(WELCOME_WITHIN):
                    await self._welcomed.wait()
                if not self._welcomed.is_set():
                    raise Unwanted(f"no supervisor answered within {WELCOME_WITHIN:g} s")
                await serve(worker)
                while worker.releasing.is_set() and await self._is_ours_again():
                    await serve(worker)
            nursery.cancel_scope.cancel()
        if worker._serving.cancelled_caught and not worker._stopped:
            self._log.warning("not done at the drain deadline")
        if not (worker.draining.is_set() or worker.releasing.is_set() or worker._stopped):
            raise RuntimeError("serve returned though nobody asked for an end")

    async def _is_ours_again(self) -> bool:
        """Let go of everything, and wait for what becomes of it."""
        self._worker._fall_silent()
        self._reserve.keep()
        self._control.send_nowait(Released())
        return await self._reserve.until_ours(self._worker.draining)

    async def _hear_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            # A service manager may signal the whole group while the supervisor says Drain as well: it is
            # the second signal that stops, not a signal while draining.
            await anext(signals)
            self._worker.drain(self._worker.config.supervisor.drain_timeout, "SIGTERM")
            await anext(signals)
            self._worker.stop("second SIGTERM")

    async def _hear_supervisor(self) -> None:
        while True:
            self._hear(await self._control.receive())

    def _hear(self, message: Message) -> None:
        worker = self._worker
        match message:
            case Welcome(supervisor_pid=pid):
                if self._tether.welcomed(pid, self._control.connection):
                    self._log.info("a new supervisor", supervisor_pid=pid)
                if self._reserve.welcomed():
                    self._log.info("goes on", why="its successor was not born")
                    worker._begin_anew()
                if worker._ready is not None:
                    self._control.send_nowait(worker._ready)
                self._welcomed.set()
            case Heartbeat():
                self._tether.answered()
            case Reclaim() if worker.releasing.is_set() and not self._reserve.is_kept:
                pass  # about to let go: what we would say of us is not so any more at our next Hello
            case Reclaim(token=token):
                self._give_back(token)
            case Rejected(why=why) if self._reserve.is_kept:
                worker.stop(why)
            case Rejected(why=why):
                raise Unwanted(why)
            case Drain(within=within):
                worker.drain(within, "told by the supervisor")
            case Release():
                self._log.info("releasing", why="a successor takes over")
                worker.releasing.set()
            case Stop():
                worker.stop("told by the supervisor")
            case Routes() | Transceivers() | Relays() | Announce() | FleetView():
                worker._inbox.offer(message)
            case _:
                self._log.warning("unexpected message", message=type(message).__name__)

    def _give_back(self, token: bytes) -> None:
        """Show the supervisor that has come what its dead predecessor gave us."""
        worker = self._worker
        path = Path(worker.assignment.runtime_directory) / RECLAIM_SOCKET
        claim = Claim(token, self._hello(), worker.assignment, worker._ready)
        try:
            worker.holdings.give_back(path, claim)
            self._reserve.shown()
        except (OSError, HandoverError) as error:  # our next Hello is another chance
            self._log.warning("not claimed", why=str(error))

    async def _beat(self) -> None:
        worker, tether = self._worker, self._tether
        # If it is not connected yet, the first Hello leaves as soon as that is so, not at the next beat.
        with trio.move_on_after(grid.BEAT):
            await self._control.send(self._hello())
        while True:
            await trio.sleep(grid.until_next(time.monotonic()))
            for_all = grid.is_for_all(time.monotonic())
            if tether.tick(trio.current_time()):
                if tether.orphaned:
                    self._log.warning("orphaned", supervisor_pid=tether.supervisor_pid)
                else:
                    self._log.info("no longer orphaned", supervisor_pid=tether.supervisor_pid)
            if tether.gave_up and not worker.draining.is_set():
                worker.drain(worker.config.supervisor.drain_timeout, "no supervisor")
            sign = Heartbeat(phase=worker.phase, sessions=worker._load())
            if tether.beat(self._control.connection) is Beat.HELLO:
                self._control.send_nowait(self._hello())
            elif self._pulse.is_due(sign, for_all=for_all):
                self._control.send_nowait(sign)
            if worker._stats and self._pulse.is_worth(stats := worker._stats(), for_all=for_all):
                worker.publish(stats)
            worker._news()

    def _hello(self) -> Hello:
        assignment = self._worker.assignment
        return Hello(
            version=PROTOCOL_VERSION,
            name=assignment.name,
            role=assignment.role,
            generation=assignment.generation,
            pid=os.getpid(),
            phase=self._worker.phase,
            release=release(),
        )
