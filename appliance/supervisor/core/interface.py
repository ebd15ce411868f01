"""All that enters and leaves the supervisor's core, and nothing else does.

A worker process is named by (name, generation): the name is a place in the appliance; the generation is a
number that no process of this host has had, so that news of a dead process is never taken for its
successor's. Its low 16 bits are the epoch of a transceiver's boot. A spare process has neither yet, only a
role and a number. A survivor is a process of a supervisor that died.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.spec import WorkerSpec
from config.ids import Endpoint, Role, Route, TransceiverId, WorkerName
from config.model import Config
from ipc.messages.fleet import Announce, FleetView, IdsLeased
from ipc.messages.lifecycle import (
    Drain,
    Farewell,
    Heartbeat,
    Hello,
    Ready,
    Release,
    Released,
    Stop,
    Welcome,
    WorkerPhase,
)
from ipc.messages.routes import Relays, RelaysApplied, Routes, RoutesApplied, Transceivers


class ProcessId(NamedTuple):
    """One process that holds, or held, a worker's name."""

    name: WorkerName
    generation: int

    def __str__(self) -> str:
        return f"{self.name}:{self.generation}"


class SpareId(NamedTuple):
    """One process that has no name yet."""

    role: Role
    number: int

    def __str__(self) -> str:
        return f"spare {self.role.label} {self.number}"


FromWorker: TypeAlias = (
    Hello
    | Ready
    | Heartbeat
    | RoutesApplied
    | RelaysApplied
    | FleetView
    | IdsLeased
    | Released
    | Farewell
)
ToWorker: TypeAlias = (
    Welcome
    | Heartbeat
    | Drain
    | Stop
    | Release
    | Routes
    | Relays
    | Transceivers
    | Announce
    | FleetView
)

# --- events ---------------------------------------------------------------------------------------


class SurvivorsFound(msgspec.Struct, frozen=True):
    """Workers of a supervisor that died live; comes before StartRequested, answered with Settled."""

    living: Mapping[int, int]
    """Generation -> pid."""


class Adopted(msgspec.Struct, frozen=True):
    """One of them has proven that it is what it says, and has given back what it holds."""

    process: ProcessId
    pid: int
    role: Role
    index: int
    phase: WorkerPhase
    config: Config | None
    """What it was born with; None if this version cannot read it."""
    route: Route | None = None
    """A transceiver's."""
    ready: Ready | None = None
    """What it has said when it began to serve."""
    misfit: str = ""
    """Why it is of no use all the same: it works with what is no longer so."""
    release: str = ""
    """The version of Tandem that it runs."""


class StartRequested(msgspec.Struct, frozen=True):
    """Begin."""

    links: tuple[tuple[Endpoint, ...], ...] = ()
    """The link addresses of each relay, by index."""
    listening: tuple[Endpoint, ...] = ()
    """What answers advertise if the configuration does not say it."""


class Started(msgspec.Struct, frozen=True):
    """A Spawn was carried out."""

    process: ProcessId
    pid: int


class SpawnFailed(msgspec.Struct, frozen=True):
    """A Spawn could not be carried out (no process slot, no memory)."""

    process: ProcessId
    why: str


class Exited(msgspec.Struct, frozen=True):
    """A process is gone and reaped; `code` is its exit code, or minus the signal that killed it.

    None: it was adopted, and only its parent, who is dead, could have known.
    """

    process: ProcessId
    code: int | None


class Received(msgspec.Struct, frozen=True):
    """A message on the control socket, from a peer that says it is this process with that pid."""

    process: ProcessId
    pid: int
    message: FromWorker


class SpareStarted(msgspec.Struct, frozen=True):
    """A StartSpare was carried out."""

    spare: SpareId
    pid: int


class SpareWaits(msgspec.Struct, frozen=True):
    """It has imported what it needs and waits for its assignment."""

    spare: SpareId


class SpareGone(msgspec.Struct, frozen=True):
    """It could not be started, or it ended."""

    spare: SpareId
    why: str


class ReloadRequested(msgspec.Struct, frozen=True):
    """Work with this configuration from now on; answered, sooner or later, with Reloaded."""

    config: Config
    workers: tuple[WorkerSpec, ...]
    """What it comes to on this host; of relays there are as many as now."""
    roll: frozenset[Role] = frozenset()
    """Whose workers are replaced, so that each gets it."""


class ResizeRequested(msgspec.Struct, frozen=True):
    """Have these relays from now on, more or fewer than before; answered with Reloaded."""

    config: Config
    """Everybody's, once that is done."""
    relays: tuple[WorkerSpec, ...]
    links: tuple[tuple[Endpoint, ...], ...]
    """Link addresses of the present relays and of the new ones, by index."""
    rehearsal: bool = False
    """Only see whether the new ones come up: then they end, and no client has come to them."""


class Steered(msgspec.Struct, frozen=True):
    """A Steer was carried out, or there was a problem and everything is as it was."""

    problem: str = ""


class CordonRequested(msgspec.Struct, frozen=True):
    """Let these transceivers, or the whole host, take no new sessions; answered with Cordons."""

    workers: tuple[WorkerName, ...] = ()
    """Empty: the whole host."""
    lift: bool = False
    """The opposite; for the whole host, of every cordon."""


class DrainRequested(msgspec.Struct, frozen=True):
    """Take nothing new, let sessions finish, then end."""


class StopRequested(msgspec.Struct, frozen=True):
    """End now."""


Event: TypeAlias = (
    SurvivorsFound
    | Adopted
    | StartRequested
    | Started
    | SpawnFailed
    | Exited
    | Received
    | SpareStarted
    | SpareWaits
    | SpareGone
    | ReloadRequested
    | ResizeRequested
    | Steered
    | CordonRequested
    | DrainRequested
    | StopRequested
)

# --- outputs --------------------------------------------------------------------------------------


class Spawn(msgspec.Struct, frozen=True):
    """Start a process for this worker; answered with Started or SpawnFailed."""

    spec: WorkerSpec
    process: ProcessId
    route: Route | None
    """A transceiver's route of this boot."""
    config: Config
    spare: SpareId | None = None
    """The process to use; if there is none, or it turns out to be dead, a new one."""
    realtime: tuple[int, ...] = ()
    """A transceiver's: indices of the realtime workers that it works with."""


class StartSpare(msgspec.Struct, frozen=True):
    """Start a process that waits for its assignment; answered with SpareStarted or SpareGone."""

    spare: SpareId


class EndSpare(msgspec.Struct, frozen=True):
    """End a spare process that nobody will need."""

    spare: SpareId


class Send(msgspec.Struct, frozen=True):
    """Send a control message to a process that has been welcomed."""

    process: ProcessId
    pid: int
    message: ToWorker


class Reject(msgspec.Struct, frozen=True):
    """Tell a peer that it is none of ours."""

    process: ProcessId
    pid: int
    why: str


class Invite(msgspec.Struct, frozen=True):
    """Ask a survivor to give back what it holds; answered with Adopted if it does and is who it says."""

    process: ProcessId
    pid: int


class Settled(msgspec.Struct, frozen=True):
    """It is known what became of every survivor: these are workers of ours now. StartRequested may come."""

    adopted: tuple[ProcessId, ...]


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL this process; Exited will follow."""

    process: ProcessId
    why: str


class WorkerChanged(msgspec.Struct, frozen=True):
    """A worker entered a state: worth a line in the log."""

    process: ProcessId
    pid: int
    state: WorkerState
    why: str


class ApplianceChanged(msgspec.Struct, frozen=True):
    """The appliance as a whole entered a state."""

    state: ApplianceState


class Steer(msgspec.Struct, frozen=True):
    """Let the first so many relays get all clients' datagrams; answered with Steered."""

    relays: int


class Abandon(msgspec.Struct, frozen=True):
    """Only the first so many relays are left: close and free what was kept for others."""

    relays: int


class Reloaded(msgspec.Struct, frozen=True):
    """The answer to ReloadRequested and to ResizeRequested."""

    replaced: tuple[WorkerName, ...]
    """The workers that have successors which serve, in order."""
    problem: str = ""
    """Why it was given up; empty if it was not."""
    added: tuple[WorkerName, ...] = ()
    """The workers that there are now beyond as many as before."""
    removed: tuple[WorkerName, ...] = ()
    """Those that get nothing new, and end when their clients have moved on or their sessions are over."""


class KeepNumbers(msgspec.Struct, frozen=True):
    """Remember over restarts that these numbers of transceivers are this host's, as of now."""

    ids: tuple[TransceiverId, ...]


class KeepHosts(msgspec.Struct, frozen=True):
    """Remember over restarts what is known of other hosts."""

    view: FleetView


class Cordons(msgspec.Struct, frozen=True):
    """What takes no new sessions now, because an operator said so."""

    host: bool = False
    workers: tuple[WorkerName, ...] = ()
    problem: str = ""
    """Why nothing was changed."""


class Finished(msgspec.Struct, frozen=True):
    """No process is left and none is wanted; the last output."""

    code: int
    why: str


Output: TypeAlias = (
    Spawn
    | StartSpare
    | EndSpare
    | Send
    | Reject
    | Invite
    | Settled
    | Kill
    | WorkerChanged
    | ApplianceChanged
    | Steer
    | Abandon
    | Reloaded
    | Cordons
    | KeepNumbers
    | KeepHosts
    | Finished
)
