"""The operator's socket: what `tandem status` and its neighbours ask."""

from __future__ import annotations

import msgspec

from config.ids import Endpoint
from ipc.messages.lifecycle import Tagged
from ipc.messages.stats import ProcessUsage, RelayStats, WorkerStats


class StatusRequest(Tagged, frozen=True):
    """How is the appliance?"""


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `tandem status`."""

    name: str
    state: str
    pid: int
    cpu: int | None
    restarts: int
    uptime: float
    sessions: int
    note: str = ""
    """Which datapath or media plane runs, or why the worker is not ready."""
    stats: WorkerStats | None = None
    cordoned: bool = False
    """An operator has said that it shall take no new sessions."""
    role: str = ""
    generation: int = 0
    """Number of its process, which no other one of this host has had."""
    last_exit: str = ""
    """Why the process before this one ended; empty if there was none, or it was replaced in order."""
    release: str = ""
    """The version of Tandem that its process runs."""


class SpareStatus(msgspec.Struct, frozen=True):
    """A process that waits to take the place of a worker of its role."""

    role: str
    pid: int
    waiting: bool
    """It has started up and waits; until then a replacement takes longer."""


class StatusReply(Tagged, frozen=True):
    """The appliance at a glance."""

    version: str
    pid: int
    state: str
    uptime: float
    page: str
    """URL of the demo page."""
    listen: tuple[Endpoint, ...]
    advertise: tuple[Endpoint, ...]
    workers: tuple[WorkerStatus, ...]
    warnings: tuple[str, ...] = ()
    spares: tuple[SpareStatus, ...] = ()
    cordoned: bool = False
    """An operator has said that this host shall take no new sessions."""
    usage: ProcessUsage | None = None
    """The supervisor's own."""
    ops: str = ""
    """URL of the ops page; empty if there is none."""
    advertise_tcp: tuple[Endpoint, ...] = ()
    """Of ICE-TCP; empty if it is not served."""

    @property
    def others(self) -> dict[str, dict[str, bool]]:
        """The relays of each other cluster, and whether they answer all of ours."""
        found: dict[str, dict[str, bool]] = {}
        for stats in (w.stats for w in self.workers if isinstance(w.stats, RelayStats)):
            for cluster, relays in stats.others.items():
                seen = found.setdefault(cluster, {})
                for relay, answers in relays.items():
                    seen[relay] = answers and seen.get(relay, True)
        return found


class CordonRequest(Tagged, frozen=True):
    """Let these transceivers, or the whole host, take no new sessions; answered with a StatusReply."""

    workers: tuple[str, ...] = ()
    """Empty: the whole host."""
    lift: bool = False
    """The opposite; for the whole host, of every cordon."""


class SessionsRequest(Tagged, frozen=True):
    """All sessions of all transceivers, answered with a SessionList."""

    limit: int = 1000


class ReloadRequest(Tagged, frozen=True):
    """Read the configuration file again and do what follows from it."""

    roll: bool = False
    """Replace all workers even if nothing has changed that asks for it."""


class DiffRequest(Tagged, frozen=True):
    """What would a reload do? Answered with a ReloadReply of problems and changes; nothing is done."""

    text: str | None = None
    """What a configuration file says; None is the file that the appliance was started with."""
    source: str = ""
    """Where the text is from, for problems."""


class UpgradeRequest(Tagged, frozen=True):
    """Become the version that is installed; workers stay as they are."""

    force: bool = False
    """Also if it calls itself the same."""


class UpgradeReply(Tagged, frozen=True):
    """What there is, and whether the supervisor leaves now to come back as what is installed."""

    running: str
    installed: str
    leaving: bool = False
    problems: tuple[str, ...] = ()
    """Why not."""


class ConfigChange(msgspec.Struct, frozen=True):
    """A key whose value in the file is not the one in force."""

    key: str
    old: str
    new: str
    effect: str
    """`live`, `roll_workers` or `restart`: the latter was not applied."""
    roles: tuple[str, ...] = ()
    """Whose workers are replaced for it."""


class ReloadReply(Tagged, frozen=True):
    """What came of it, when it is over."""

    problems: tuple[str, ...] = ()
    """What is wrong with the file; then nothing was changed."""
    changes: tuple[ConfigChange, ...] = ()
    replaced: tuple[str, ...] = ()
    """The workers that have successors which serve, in order."""
    given_up: str = ""
    """Why the replacement was not finished."""
    added: tuple[str, ...] = ()
    """The workers that there are now beyond as many as before."""
    removed: tuple[str, ...] = ()
    """Those that get nothing new, and end when their clients have moved on or their sessions are over."""


class Failure(Tagged, frozen=True):
    """The request could not be carried out; `why` is for a human."""

    why: str
