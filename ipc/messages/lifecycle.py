"""Supervisor and worker: birth, readiness, life signs, drain, end.

A worker is exec'd with one inherited descriptor, a SOCK_SEQPACKET socket pair; the Assignment arrives
there with the worker's sockets as SCM_RIGHTS. From then on they talk over the control ROUTER/DEALER,
which a worker can also reach when its supervisor has been replaced; the pair is kept for descriptors
that are to follow.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from config.ids import Endpoint, HostId, Role, Route, WorkerName

PROTOCOL_VERSION = 1
NOWHERE = Endpoint("", 0)
"""What descriptors are bound to that are bound to nothing."""


class Tagged(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Base of all messages: frozen, tagged with the class name, defaults left off the wire."""


class DescriptorKind(StrEnum):
    """What a handed-over descriptor is for."""

    PUBLIC = "public"
    INGRESS = "ingress"
    """Where Global Relays send."""
    LINK = "link"
    TCP = "tcp"
    """A listener of ICE-TCP, which all relays accept from."""
    TCP_LINK = "tcp_link"
    """As LINK, for flows over TCP."""
    ESTATE_IN = "estate_in"
    """Where a relay that is released leaves its TCP connections (ipc/parcels.py)."""
    ESTATE_OUT = "estate_out"
    """Where the next one of its name finds them."""
    HTTP = "http"
    TABLE = "table"
    """Shared memory for a relay's flows, empty the first time: it outlives the processes of that name."""
    SIBLING = "sibling"
    """Another relay's table, to be read only."""
    UNKNOWN = "unknown"
    """Of a newer version: whoever gets it closes it."""

    @classmethod
    def _missing_(cls, value: object) -> DescriptorKind:
        return cls.UNKNOWN


class Descriptor(msgspec.Struct, frozen=True):
    """One handed-over descriptor, in the order of the SCM_RIGHTS array."""

    kind: DescriptorKind
    endpoint: Endpoint
    """What a socket is bound to; NOWHERE for shared memory and estates."""


class Assignment(Tagged, frozen=True):
    """All that a fresh process needs to become a worker. Never in argv or environment: it has keys."""

    version: int
    name: WorkerName
    role: Role
    index: int
    generation: int
    """Counts the processes that have had this name; part of its ZeroMQ identity."""
    config: str
    """The Config as JSON."""
    control: str
    """ZeroMQ end point of the supervisor's control ROUTER."""
    bus: str
    """ZeroMQ end point where the supervisor subscribes to statistics and events."""
    runtime_directory: str
    """Where a worker may bind ipc:// end points of its own (0700)."""
    descriptors: tuple[Descriptor, ...]
    ufrag_keys: dict[str, bytes]
    mint_with: str
    advertise: tuple[Endpoint, ...] = ()
    """Relay addresses for answers, in order of preference."""
    advertise_tcp: tuple[Endpoint, ...] = ()
    """The same for ICE-TCP; none if it is not served."""
    cpu: int | None = None
    """CPU to pin to."""
    route: Route | None = None
    """A transceiver's own route: its cluster, id and the epoch of this boot."""
    peers: tuple[Endpoint, ...] = ()
    """Link addresses of all relays: a transceiver hears nobody else on its link."""
    realtime: tuple[str, ...] = ()
    """A transceiver's: end points of the realtime workers that it works with."""
    host: HostId = HostId("")
    """What this host calls itself in a fleet."""
    admin: str = ""
    """ZeroMQ end point that operators ask, and telemetry for them."""


def realtime_endpoint(runtime_directory: str, index: int) -> str:
    """Where a realtime worker serves."""
    return f"ipc://{runtime_directory}/realtime-{index}.sock"


def cache_endpoint(runtime_directory: str) -> str:
    """Where the fleet worker answers relays about flows."""
    return f"ipc://{runtime_directory}/fleet-cache.sock"


class Siblings(Tagged, frozen=True):
    """More relays' tables for a relay that runs, one descriptor for each, to be read only."""

    tables: int


class WorkerPhase(StrEnum):
    """What a worker says of itself."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Hello(Tagged, frozen=True):
    """First message of a worker, and again to every new supervisor."""

    version: int
    name: WorkerName
    role: Role
    generation: int
    pid: int
    phase: WorkerPhase = WorkerPhase.STARTING
    release: str = ""
    """The version of Tandem that it runs."""


class Welcome(Tagged, frozen=True):
    """The supervisor knows this process as that worker."""

    supervisor_pid: int


class Rejected(Tagged, frozen=True):
    """The supervisor does not want this process (wrong version, pid, name or generation)."""

    why: str


class Reclaim(Tagged, frozen=True):
    """Said instead of Rejected to a worker of a supervisor that died: bring what you were born with.

    To the socket RECLAIM_SOCKET in the runtime directory goes a Claim, with all descriptors.
    """

    token: bytes
    """To be repeated: who claims is who is connected here."""


class Ready(Tagged, frozen=True):
    """The worker serves. Transceivers and relays name their link address, those with rpc its end point."""

    link: Endpoint | None = None
    rpc: str = ""
    datapath: str = ""
    """Which datapath or media plane runs, and why, e.g. `python (no native one built)`."""
    door: str = ""
    """Of signaling: the public key by which other hosts place calls here."""


class Claim(Tagged, frozen=True):
    """A worker's birth the other way round: what it is, and as SCM_RIGHTS all that it was given.

    The connection stays, and is what the socket pair was: by it come descriptors that are to follow.
    """

    token: bytes
    hello: Hello
    assignment: Assignment
    ready: Ready | None = None
    """What it has said when it began to serve."""


class Heartbeat(Tagged, frozen=True):
    """Sent once a second, or every other if nothing is new; answered with the same.

    By the answer a worker knows that it has a supervisor.
    """

    phase: WorkerPhase
    sessions: int = 0
    """Sessions (transceiver), flows (relay), open connections (HTTP) or calls (realtime)."""


class Drain(Tagged, frozen=True):
    """Take nothing new; exit when done or after that many seconds."""

    within: float


class Stop(Tagged, frozen=True):
    """End now, telling peers what there is time to tell."""


class Release(Tagged, frozen=True):
    """To a relay: stop using the sockets and the table at once, its successor waits for them.

    Flows are left as they are, unlike with Drain. It keeps all open until it is told Stop, or until another
    supervisor has asked for it (Reclaim) and says Welcome: then it serves as before.
    """


class Released(Tagged, frozen=True):
    """The process touches neither sockets nor table any more."""


class Farewell(Tagged, frozen=True):
    """Last message of a worker that ends by itself."""

    why: str
