"""The supervisor's core on a table: its outputs are carried out by a world that a test can break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from appliance.supervisor.core.interface import (
    DrainRequested,
    EndSpare,
    Event,
    Exited,
    FromWorker,
    Output,
    ProcessId,
    Received,
    ReloadRequested,
    ResizeRequested,
    Send,
    SpareId,
    SpareStarted,
    SpareWaits,
    Spawn,
    Started,
    StartRequested,
    StartSpare,
    WorkerChanged,
)
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.spec import ONLOOKERS, HostFacts, desired_workers
from appliance.supervisor.core.supervisor import Supervisor
from config.ids import Endpoint, Role, TransceiverId
from config.model import Config
from ipc.messages.lifecycle import Heartbeat, Hello, Ready, WorkerPhase
from ipc.messages.routes import Relays, RelaysApplied, Routes, RoutesApplied

FIRST = 1000
SUPERVISOR_PID = 42
LINKS = tuple(
    (Endpoint("127.0.0.1", 30_000 + relay), Endpoint("127.0.0.1", 31_000 + relay))
    for relay in range(8)
)
"""Two of each relay, as where ICE-TCP is served."""


def links_of(relays: int) -> tuple[Endpoint, ...]:
    """As the first so many relays' are told to transceivers."""
    return tuple(link for links in LINKS[:relays] for link in links)


"""Of relays, by index."""
Kind = TypeVar("Kind")


class Table:
    """A core, a clock and imaginary processes. `outputs` has everything since the last `take`."""

    def __init__(
        self,
        config: Config | None = None,
        cpus: int = 2,
        ids: Sequence[TransceiverId] = (),
        *,
        onlookers: bool = False,
    ) -> None:
        """Without the workers that calls can do without, unless `onlookers`."""
        self.config = config or Config()
        self._cpus = cpus
        every = desired_workers(self.config, HostFacts(tuple(range(cpus))))
        specs = tuple(spec for spec in every if onlookers or spec.role not in ONLOOKERS)
        self.core = Supervisor(
            self.config, specs, supervisor_pid=SUPERVISOR_PID, next_generation=FIRST, ids=ids
        )
        self.now = 100.0
        self.outputs: list[Output] = []
        self.roles: dict[ProcessId, Role] = {}
        self.pids: dict[ProcessId, int] = {}
        """Living processes."""
        self.current: dict[str, ProcessId] = {}
        self.spares: set[SpareId] = set()
        """Spares that have a process."""
        self.spares_come_up = True
        """A spare that is started waits for its assignment at once."""
        self.states = {spec.name: WorkerState.STOPPED for spec in specs}

    def feed(self, event: Event) -> None:
        """An event; Spawn is answered with Started."""
        self._take_in(self.core.handle(event, self.now))

    def _take_in(self, outputs: list[Output]) -> None:
        self.outputs += outputs
        for output in outputs:
            match output:
                case Spawn():
                    self.spares.discard(output.spare or SpareId(output.spec.role, -1))
                    self.roles[output.process] = output.spec.role
                    self.pids[output.process] = 10_000 + output.process.generation
                    self.current[output.process.name] = output.process
                case WorkerChanged():
                    self.states[output.process.name] = output.state
                case StartSpare():
                    self.spares.add(output.spare)
                case EndSpare():
                    self.spares.discard(output.spare)
                case _:
                    pass
        for output in outputs:
            if isinstance(output, Spawn):
                self.feed(Started(output.process, self.pids[output.process]))
            elif isinstance(output, StartSpare):
                self.feed(SpareStarted(output.spare, 90_000 + output.spare.number))
                if self.spares_come_up:
                    self.feed(SpareWaits(output.spare))

    def say(self, name: str, *messages: FromWorker) -> None:
        """The present process of that name says something."""
        process = self.current[name]
        for message in messages:
            self.feed(Received(process, self.pids[process], message))

    def hello(self, name: str) -> None:
        """It connects."""
        process = self.current[name]
        role = self.roles[process]
        self.say(name, Hello(1, process.name, role, process.generation, self.pids[process]))

    def ready(self, name: str) -> None:
        """It connects and becomes ready; a relay applies the routes it is given."""
        self.hello(name)
        link = Endpoint("127.0.0.1", 40_000 + self.current[name].generation % 1000)
        self.say(name, Ready(link=link, rpc=f"ipc:///x/{name}"))

    def apply_routes(self) -> None:
        """Every connected relay acknowledges the newest routes it was sent."""
        newest: dict[ProcessId, int] = {}
        for output in self.outputs:
            if isinstance(output, Send) and isinstance(output.message, Routes):
                newest[output.process] = output.message.serial
        for process, serial in newest.items():
            if process in self.pids:
                self.feed(Received(process, self.pids[process], RoutesApplied(serial)))

    def start(self) -> None:
        """Bring everything up."""
        relays = sum(name.startswith("relay") for name in self.states)
        self.feed(StartRequested(LINKS[:relays]))
        for name in list(self.current):
            self.ready(name)
        self.apply_routes()

    def know_relays(self) -> None:
        """Every transceiver acknowledges the newest relays it was sent."""
        newest: dict[ProcessId, int] = {}
        for output in self.outputs:
            if isinstance(output, Send) and isinstance(output.message, Relays):
                newest[output.process] = output.message.serial
        for process, serial in newest.items():
            if process in self.pids:
                self.feed(Received(process, self.pids[process], RelaysApplied(serial)))

    def resize(self, relays: int, *, rehearsal: bool = False) -> None:
        """The operator wants so many."""
        config = Config.model_validate({"relay": {"workers": relays}})
        specs = desired_workers(config, HostFacts((0, 1)))
        wanted = tuple(spec for spec in specs if spec.role is Role.RELAY)
        present = sum(name.startswith("relay") for name in self.states)
        self.feed(ResizeRequested(config, wanted, LINKS[: max(relays, present)], rehearsal))

    def reload(self, config: Config, *roles: Role) -> None:
        """The operator wants this configuration, and new workers of these roles."""
        workers = desired_workers(config, HostFacts(tuple(range(self._cpus))))
        self.feed(ReloadRequested(config, workers, frozenset(roles)))

    def die(self, name: str, code: int = -9) -> None:
        """Its process ends."""
        process = self.current[name]
        del self.pids[process]
        self.feed(Exited(process, code))

    def leave(self, process: ProcessId) -> None:
        """A process that released its name ends."""
        del self.pids[process]
        self.feed(Exited(process, 0))

    def drain(self) -> None:
        """SIGTERM."""
        self.feed(DrainRequested())

    def sleep(self, seconds: float, *, beating: bool = True) -> None:
        """Let time pass; ready workers send heartbeats unless told otherwise."""
        end = self.now + seconds
        while self.now < end:
            due = self.core.next_timeout()
            step = self.now + 1.0
            self.now = min(end, step, due if due is not None else end)
            if beating and self.now >= step:
                self.beat()
            self._take_in(self.core.handle_timeout(self.now))

    def beat(self, *, but: str = "") -> None:
        """One heartbeat of every connected process."""
        for name, process in self.current.items():
            serving = self.states[process.name] in (WorkerState.READY, WorkerState.DRAINING)
            if name != but and process in self.pids and serving:
                draining = self.states[process.name] is WorkerState.DRAINING
                phase = WorkerPhase.DRAINING if draining else WorkerPhase.READY
                self.say(name, Heartbeat(phase))

    def take(self, kind: type[Kind], where: Callable[[Kind], bool] | None = None) -> list[Kind]:
        """The outputs of that kind; forgets all outputs so far."""
        found: list[Kind] = [
            o for o in self.outputs if isinstance(o, kind) and (where is None or where(o))
        ]
        self.outputs.clear()
        return found

    def sent(self, name: str) -> list[object]:
        """What that worker was sent since the last `take`."""
        return [o.message for o in self.outputs if isinstance(o, Send) and o.process.name == name]

    def accepting(self) -> list[bool]:
        """Per transceiver that signaling knows, as it was told last."""
        entries = self.core.transceivers()
        return [entry.accepting for entry in entries]
