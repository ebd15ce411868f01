"""What the supervisor knows of one worker and of the process that bears its name now."""

from __future__ import annotations

from typing import NamedTuple

from appliance.supervisor.core.interface import (
    ProcessId,
    Send,
    SpareId,
    Spawn,
    ToWorker,
    WorkerChanged,
)
from appliance.supervisor.core.lifecycle import Lifecycle, WorkerState
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import WorkerSpec
from config.ids import Endpoint, Instant, Role, Route, WorkerName
from config.model import Config
from ipc.messages.admin import WorkerStatus
from ipc.messages.lifecycle import Ready


class Place(NamedTuple):
    """A worker as others reach it, as far as it has a process that serves."""

    name: WorkerName
    role: Role
    state: WorkerState
    route: Route | None = None
    link: Endpoint | None = None
    rpc: str = ""


class Worker:
    """A place in the appliance, and its occupant."""

    def __init__(self, spec: WorkerSpec, config: Config, realtime: tuple[int, ...] = ()) -> None:
        self.spec = spec
        self.config = config
        """What its next process gets."""
        self.realtime = realtime
        """Indices of the realtime workers that a transceiver works with."""
        self.life = Lifecycle()
        self.retire_by = Goal.RUN
        """How it leaves for good, if it is to: by DRAIN or by STOP."""
        self.joining = False
        """It has been added, and nothing new comes to it yet."""
        self.generation = 0
        self.pid = 0
        self.asked = Goal.RUN
        """What this process was told last."""
        self.reported = WorkerState.STOPPED
        """The state that was last made an output."""
        self.welcomed = False
        self.sessions = 0
        self.release = ""
        """The version of Tandem that its process runs."""
        self.note = ""
        self.farewell = ""
        self.last_exit = ""
        """Why the process before this one ended, as far as that is known."""
        self.link: Endpoint | None = None
        self.rpc = ""
        self.door = ""
        """Public key by which other hosts place calls at it."""
        self.route: Route | None = None

    @property
    def name(self) -> WorkerName:
        """Its name."""
        return self.spec.name

    @property
    def process(self) -> ProcessId:
        """The process that has the name now, or had it last."""
        return ProcessId(self.spec.name, self.generation)

    @property
    def serves(self) -> bool:
        """Its process has said Ready and has not ended."""
        return self.life.state in (WorkerState.READY, WorkerState.DRAINING)

    def begin_process(self, generation: int, route: Route | None) -> None:
        """Forget the last process: a new one is coming."""
        self.generation = generation
        self.asked = Goal.RUN
        self._forget()
        self.route = route

    def spawn(self, spare: SpareId | None) -> Spawn:
        """An output that starts the process that was begun."""
        realtime = self.realtime if self.spec.role is Role.TRANSCEIVER else ()
        return Spawn(self.spec, self.process, self.route, self.config, spare, realtime)

    def serve(self, ready: Ready) -> None:
        """Its process has said where it can be reached."""
        self.link, self.rpc, self.note = ready.link, ready.rpc, ready.datapath
        self.door = ready.door

    def end_process(self) -> str:
        """Forget what only held for the process that ended; gives the reason it left, if it did."""
        farewell = self.farewell
        self._forget()
        return farewell

    @property
    def stays(self) -> bool:
        """It is not on its way out."""
        return self.retire_by is Goal.RUN

    def _forget(self) -> None:
        self.pid = self.sessions = 0
        self.welcomed = False
        self.release = self.note = self.farewell = self.rpc = self.door = ""
        self.link = self.route = None

    def send(self, message: ToWorker) -> Send:
        """An output that sends this to its process."""
        return Send(self.process, self.pid, message)

    def change(self) -> WorkerChanged | None:
        """An output that tells of a new state, if it is one."""
        if self.life.state is self.reported:
            return None
        self.reported = self.life.state
        return WorkerChanged(self.process, self.pid, self.life.state, self.life.why)

    def status(self, now: Instant, *, cordoned: bool = False) -> WorkerStatus:
        """One row of `tandem status`, without the counters that the worker publishes itself."""
        return WorkerStatus(
            name=self.spec.name,
            state=self.life.state.value,
            pid=self.pid,
            cpu=self.spec.cpu,
            restarts=self.life.restarts,
            uptime=max(0.0, now - self.life.since) if self.life.has_process else 0.0,
            sessions=self.sessions,
            note=self.life.why or self.note,
            cordoned=cordoned,
            role=self.spec.role.label,
            generation=self.generation,
            last_exit=self.last_exit,
            release=self.release,
        )

    def place(self) -> Place:
        """How others reach it."""
        name, role, state = self.spec.name, self.spec.role, self.life.state
        if not self.serves:
            return Place(name, role, state, self.route)
        return Place(name, role, state, self.route, self.link, self.rpc)
