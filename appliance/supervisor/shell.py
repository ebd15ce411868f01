"""Carries out what the core decides: starts and kills processes, sends messages, writes log lines."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final, assert_never

import trio

from appliance.supervisor.core.adoption import UNKNOWN
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import (
    Abandon,
    ApplianceChanged,
    CordonRequested,
    Cordons,
    EndSpare,
    Event,
    Exited,
    Finished,
    FromWorker,
    Invite,
    KeepHosts,
    KeepNumbers,
    Kill,
    Output,
    ProcessId,
    Received,
    Reject,
    Reloaded,
    ReloadRequested,
    ResizeRequested,
    Send,
    Settled,
    SpareGone,
    SpareId,
    SpareStarted,
    SpareWaits,
    Spawn,
    SpawnFailed,
    Started,
    StartSpare,
    Steer,
    Steered,
    SurvivorsFound,
    WorkerChanged,
)
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.supervisor import Supervisor
from appliance.supervisor.notify import notify
from appliance.supervisor.orders import Orders
from appliance.supervisor.outfit import Outfit, Outfitter
from appliance.supervisor.process import WorkerProcess, start_process
from appliance.supervisor.survivors import Survivors
from config.ids import Role, WorkerName
from config.model import Config
from ipc.control import ControlServer, identity
from ipc.handover import HandoverError
from ipc.log import Logger
from ipc.messages.lifecycle import DescriptorKind, Heartbeat, Rejected

FIRST_LINES: Final = 16
GATHER: Final = 0.004
"""Seconds after a life sign in which those of the others come, too: one turn for all of them."""
_LOUD: Final = {WorkerState.BACKOFF: "warning", WorkerState.FAILED: "error"}


class Shell:
    """The core's hands and ears."""

    def __init__(
        self,
        core: Supervisor,
        control: ControlServer,
        outfitter: Outfitter,
        nursery: trio.Nursery,
        log: Logger,
        orders: Orders,
        survivors: Survivors,
    ) -> None:
        self.on_exit: Callable[[WorkerName], None] = lambda worker: None
        """Called when the last process of a name is gone."""
        self.on_membership: Callable[[KeepNumbers | KeepHosts], None] = lambda news: None
        """Called with what is to be kept; may raise OSError."""
        self.on_change: Callable[[WorkerChanged | ApplianceChanged], None] = lambda change: None
        """Called when a worker, or the appliance, has entered a state."""
        self.state = trio.Event()
        """Set, and replaced, at every change of the appliance's state."""
        self.finished = trio.Event()
        self.outcome = Finished(0, "")
        self._cordons = Cordons()
        self._asked: trio.MemorySendChannel[Reloaded] | None = None
        self._core = core
        self._control = control
        self._outfitter = outfitter
        self._nursery = nursery
        self._orders = orders
        self._log = log
        self._processes: dict[ProcessId, WorkerProcess] = {}
        self._survivors = survivors
        self._rejected = 0
        self._settled = trio.Event()
        self._spares: dict[SpareId, WorkerProcess] = {}
        self._events: deque[Event] = deque()
        self._busy = False
        self._sleep = trio.CancelScope()

    def feed(self, event: Event) -> None:
        """Give the core an event and carry out what follows; events that this causes come after it."""
        self._events.append(event)
        if not self._busy:
            self._settle()

    def _settle(self) -> None:
        self._busy = True
        try:
            while self._events:
                following = self._events.popleft()
                for output in self._core.handle(following, trio.current_time()):
                    self._carry_out(output)
        finally:
            self._busy = False
        self._sleep.deadline = min(self._sleep.deadline, self._due())

    async def adopt_survivors(self) -> None:
        """Make what lives of a dead supervisor's workers ours, and what they hold."""
        for generation, process in self._survivors.processes.items():
            self._processes[ProcessId(UNKNOWN, generation)] = process
            self._nursery.start_soon(self._watch, process)
        self._log.info("survivors", count=len(self._survivors.processes))
        self.feed(SurvivorsFound(self._survivors.living))
        await self._settled.wait()

    async def keep_time(self) -> None:
        """Call the core's timer when it is due."""
        while True:
            with trio.CancelScope(deadline=self._due()) as self._sleep:
                await trio.sleep_forever()
            for output in self._core.handle_timeout(trio.current_time()):
                self._carry_out(output)
            self._settle()

    def _due(self) -> float:
        due = self._core.next_timeout()
        return math.inf if due is None else due

    async def listen(self) -> None:
        """Take what workers say."""
        while True:
            peer, message = await self._control.receive()
            process, pid = parse_identity(peer)
            if isinstance(message, FromWorker):
                self.feed(Received(process, pid, message))
            if isinstance(message, Heartbeat) and not self._control.waiting:
                await trio.sleep(GATHER)

    def _carry_out(self, output: Output) -> None:
        match output:
            case Spawn():
                self._spawn(output)
            case StartSpare():
                self._start_spare(output.spare)
            case EndSpare():
                if process := self._spares.get(output.spare):
                    process.kill()
            case Send():
                self._control.send(_peer(output), output.message)
            case Reject():
                self._rejected += 1
                if worth_a_line(self._rejected):
                    who, times = str(output.process), self._rejected
                    self._log.warning("worker rejected", who=who, why=output.why, times=times)
                self._control.send(_peer(output), Rejected(output.why))
            case Invite():
                self._control.send(_peer(output), self._survivors.invite(output.process))
            case Settled():
                self._adopt(output)
            case Kill():
                self._log.warning("worker killed", who=str(output.process), why=output.why)
                if process := self._processes.get(output.process):
                    process.kill()
            case WorkerChanged():
                self._tell(output)
                self.on_change(output)
            case ApplianceChanged():
                self._log.info("appliance", state=output.state.value)
                notify(f"STATUS={output.state.value}")
                self.on_change(output)
                self.state.set()
                self.state = trio.Event()
            case Steer():
                self._events.append(Steered(self._outfitter.steer(output.relays)))
            case Abandon():
                self._outfitter.keep(output.relays)
            case KeepNumbers() | KeepHosts():
                try:
                    self.on_membership(output)
                except OSError as error:  # it matters at the next start only
                    self._log.warning("not kept", what=type(output).__name__, why=str(error))
            case Reloaded():
                if self._asked is not None:
                    self._asked.send_nowait(output)
                    self._asked = None
            case Cordons():
                self._cordons = output
                if not output.problem:
                    self._keep(output)
            case Finished():
                self.outcome = output
                self.finished.set()
            case _:
                assert_never(output)

    def _adopt(self, settled: Settled) -> None:
        for name, claimed in self._survivors.settle(settled.adopted):
            try:
                self._outfitter.adopt(name, claimed.assignment, claimed.fds)
            except ValueError as error:
                self._log.warning("not everything came back", of=name.name, why=str(error))
            del self._processes[ProcessId(UNKNOWN, name.generation)]
            kinds = [descriptor.kind for descriptor in claimed.assignment.descriptors]
            claimed.process.siblings = set(range(kinds.count(DescriptorKind.SIBLING) + 1))
            self._processes[name] = claimed.process
            self._log.info("adopted", who=str(name), process=claimed.process.pid)
        self._settled.set()

    def _spawn(self, spawn: Spawn) -> None:
        try:
            with self._outfitter.outfit(spawn) as outfit:
                process = self._assign_spare(spawn, outfit) or self._assign_new(spawn, outfit)
        except (OSError, HandoverError) as error:
            self._events.append(SpawnFailed(spawn.process, str(error)))
            return
        kinds = [descriptor.kind for descriptor in outfit.assignment.descriptors]
        process.siblings = set(range(kinds.count(DescriptorKind.SIBLING) + 1))
        self._processes[spawn.process] = process
        self._events.append(Started(spawn.process, process.pid))

    def _assign_spare(self, spawn: Spawn, outfit: Outfit) -> WorkerProcess | None:
        process = None if spawn.spare is None else self._spares.get(spawn.spare)
        if spawn.spare is None or process is None:
            return None
        try:
            process.assign(outfit.assignment, outfit.sockets)
        except HandoverError as error:
            self._log.warning("spare not used", who=str(spawn.spare), why=str(error))
            process.kill()
            return None
        del self._spares[spawn.spare]
        return process

    def _assign_new(self, spawn: Spawn, outfit: Outfit) -> WorkerProcess:
        process = start_process(spawn.spec.role)
        self._nursery.start_soon(self._watch, process)
        try:
            process.assign(outfit.assignment, outfit.sockets)
        except BaseException:
            process.kill()
            raise
        return process

    def _start_spare(self, spare: SpareId) -> None:
        try:
            process = start_process(spare.role)
        except OSError as error:
            self._events.append(SpareGone(spare, str(error)))
            return
        self._spares[spare] = process
        self._events.append(SpareStarted(spare, process.pid))
        self._nursery.start_soon(self._watch, process, spare)

    async def _watch(self, process: WorkerProcess, spare: SpareId | None = None) -> None:
        """Wait for the end of a process, and tell whose it was then: a spare may have become a worker."""
        if spare is not None and await process.waits():
            self.feed(SpareWaits(spare))
        code = await process.wait()
        if spare is not None and self._spares.pop(spare, None) is not None:
            self._log.info("spare ended", who=str(spare), code=code)
            self.feed(SpareGone(spare, f"exit code {code}"))
        for name in [name for name, its in self._processes.items() if its is process]:
            del self._processes[name]
            self._outfitter.forget(name)
            if all(other.name != name.name for other in self._processes):
                self.on_exit(name.name)
            self.feed(Exited(name, code))

    def end_spares(self) -> None:
        """End those that nobody needs any more, and reap them."""
        for process in self._spares.values():
            process.end()

    def _tell(self, change: WorkerChanged) -> None:
        details = {"of": change.process.name, "state": change.state.value}
        if change.pid:
            details |= {"process": str(change.pid)}
        if change.why:
            details |= {"why": change.why}
        match _LOUD.get(change.state):
            case "warning":
                self._log.warning("worker", **details)
            case "error":
                self._log.error("worker", **details)
            case _:
                self._log.info("worker", **details)

    async def reload(self, request: ReloadRequested | ResizeRequested) -> Reloaded:
        """Have it carried out, and wait for the end. One at a time."""
        self._asked, answer = trio.open_memory_channel[Reloaded](1)
        self.feed(request)
        return await answer.receive()

    async def resize(self, config: Config, relays: tuple[WorkerSpec, ...]) -> Reloaded:
        """Have another number of relays, and wait until clients come to the new ones alone."""
        try:
            links = self._outfitter.prepare(len(relays))
            self._introduce_siblings()
            outcome = await self.reload(ResizeRequested(config, relays, links))
        except (OSError, HandoverError) as error:
            outcome = Reloaded((), f"no sockets for {len(relays)} relays: {error}")
        if outcome.problem:
            self._outfitter.unprepare()
        return outcome

    async def rehearse(self, config: Config, relays: tuple[WorkerSpec, ...]) -> Reloaded:
        """See whether one more relay, the last of these, would come up; nobody notices it."""
        try:
            links = self._outfitter.prepare(len(relays))
            return await self.reload(ResizeRequested(config, relays, links, rehearsal=True))
        except OSError as error:
            return Reloaded((), f"no sockets to try a relay with: {error}")
        finally:
            self._outfitter.unprepare()

    def _introduce_siblings(self) -> None:
        for name, process in self._processes.items():
            role, _, index = name.name.partition("-")
            if role == Role.RELAY.label:
                process.show(self._outfitter.tables_for(int(index), process.siblings))

    def cordon(self, request: CordonRequested) -> str:
        """Have it carried out; gives the problem, if there is one."""
        self._cordons = Cordons()
        self.feed(request)
        if self._cordons.problem:
            return self._cordons.problem
        what = ", ".join(request.workers) or "host"
        self._log.info("undrained" if request.lift else "drained", what=what)
        return ""

    def _keep(self, cordons: Cordons) -> None:
        try:
            self._orders.keep(cordons)
        except OSError as error:  # it is in force all the same, as long as we live
            self._log.error("drain not on file", why=str(error))

    async def until_started(self) -> None:
        """Wait until the appliance is no longer starting."""
        while self._core.state is ApplianceState.STARTING:
            await self.state.wait()


def worth_a_line(times: int) -> bool:
    """True for the first few of something that may happen without end, and ever more rarely then."""
    return times <= FIRST_LINES or times.bit_count() == 1


def parse_identity(peer: bytes) -> tuple[ProcessId, int]:
    """Process and pid that a peer of the control socket claims to be; nobody's if it is not one of ours."""
    try:
        name, generation, pid = peer.decode("ascii").split(":")
        return ProcessId(WorkerName(name), int(generation)), int(pid)
    except ValueError:
        return ProcessId(WorkerName("?"), 0), 0


def _peer(output: Send | Reject | Invite) -> bytes:
    return identity(output.process.name, output.process.generation, output.pid)
