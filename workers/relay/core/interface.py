"""All that enters and leaves the relay core, and nothing else does.

The datapath forwards what it knows and hands up what it does not; the core decides and answers with
outputs, which the shell carries out in order. Values are msgspec structs: frozen, and made in a tenth
of the time a frozen dataclass takes, which matters where one is made per STUN datagram.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from config.ids import ClusterId, Endpoint, FlowKey, Route
from workers.wire.link import RecordType
from workers.wire.types import DropReason


class KnownFlow(msgspec.Struct, frozen=True):
    """What the datapath's table knew of the source when it made an upcall."""

    label: int
    route: Route
    link: Endpoint | None = None
    """Where it leads: a transceiver, or a cluster's relay."""


# --- events ---------------------------------------------------------------------------------------


class Upcall(msgspec.Struct, frozen=True):
    """A client datagram that the datapath did not forward: STUN, an unknown source, another kind."""

    key: FlowKey
    datagram: bytes
    flow: KnownFlow | None
    """The assured flow of that source, if the table has one."""
    sibling: Route | None = None
    """If it has none: where the flow of that source leads in another relay's table, for media only."""
    behind: FlowKey | None = None
    """The client's own flow key, if a Global Relay stands between it and us."""


class IngressRecord(msgspec.Struct, frozen=True):
    """A record of a Global Relay that is not plain DATA of an assured flow."""

    key: FlowKey
    """With the label that the record has."""
    type: RecordType
    payload: bytes
    flow: KnownFlow | None
    """The assured flow of that key, if the table has one."""


class LinkRecord(msgspec.Struct, frozen=True):
    """A record from the link that is not plain DATA of an assured flow."""

    peer: Endpoint
    type: RecordType
    flags: int
    label: int
    payload: bytes
    flow: FlowKey | None
    """The assured flow of that label, if slot and generation match one and the peer owns it."""


class RouteAdded(msgspec.Struct, frozen=True):
    """A transceiver boot is live and reachable at this link address."""

    route: Route
    link: Endpoint


class RouteRemoved(msgspec.Struct, frozen=True):
    """A transceiver boot is gone: its flows must not be served any longer."""

    route: Route


class OthersHeard(msgspec.Struct, frozen=True):
    """The whole truth about relays beside this one, as far as their hosts have told it."""

    clusters: Mapping[ClusterId, tuple[Endpoint, ...]]
    """Where those of other clusters take clients."""
    globals: frozenset[str] = frozenset()
    """Hosts of Global Relays."""


class Draining(msgspec.Struct, frozen=True):
    """This relay is about to go: Global Relays are told by silence."""


class RouteFound(msgspec.Struct, frozen=True):
    """What the flow cache says of a flow that it was asked about."""

    key: FlowKey
    route: Route | None
    """None if it does not know the flow."""


class CacheSeen(msgspec.Struct, frozen=True):
    """How it is with the flow cache."""

    there: bool
    generation: int = 0
    """Another one than before has lost everything that was in it."""


class FlowExpired(msgspec.Struct, frozen=True):
    """An assured flow has left the datapath, for whatever reason: its slot rests, then is free.

    Every label that is installed is followed, sooner or later, by exactly one of these.
    """

    label: int


Event: TypeAlias = (
    Upcall
    | IngressRecord
    | LinkRecord
    | RouteAdded
    | RouteRemoved
    | RouteFound
    | CacheSeen
    | OthersHeard
    | Draining
    | FlowExpired
)


# --- outputs --------------------------------------------------------------------------------------


class SendRecord(msgspec.Struct, frozen=True):
    """Send one record to a transceiver, or to the relay of a cluster."""

    to: Endpoint
    type: RecordType
    flags: int
    label: int
    payload: bytes


class SendDatagram(msgspec.Struct, frozen=True):
    """Send a datagram to a client from the local address of the key."""

    key: FlowKey
    datagram: bytes


class SendBack(msgspec.Struct, frozen=True):
    """Send one record to the Global Relay of the key, on its label."""

    key: FlowKey
    type: RecordType
    flags: int
    payload: bytes


class InstallFlow(msgspec.Struct, frozen=True):
    """Put an assured flow into the datapath; replaces whatever that key or slot had.

    A label that is installed is pointed at another link by this, and does not end.
    """

    key: FlowKey
    label: int
    route: Route
    link: Endpoint


class RemoveFlow(msgspec.Struct, frozen=True):
    """Take a flow out of the datapath and leave a tombstone until its client has been silent."""

    label: int


class RaiseFlow(msgspec.Struct, frozen=True):
    """Hand up what comes from the client of this flow, until the flow is installed again."""

    label: int


class RaiseFlows(msgspec.Struct, frozen=True):
    """The same for every flow that leads to this link address."""

    link: Endpoint


class RemoveRoute(msgspec.Struct, frozen=True):
    """Take all flows of a route out of the datapath, leaving tombstones; each gives FlowExpired."""

    route: Route


class KeepRoute(msgspec.Struct, frozen=True):
    """Have it in the flow cache that this flow leads there."""

    key: FlowKey
    route: Route


class ForgetRoute(msgspec.Struct, frozen=True):
    """Have this flow in the flow cache no longer."""

    key: FlowKey


class LookUp(msgspec.Struct, frozen=True):
    """Ask the flow cache about this flow; answered with RouteFound, or not at all."""

    key: FlowKey


class FlowAssured(msgspec.Struct, frozen=True):
    """A flow passed the owner's MESSAGE-INTEGRITY (for counters and events)."""

    key: FlowKey
    route: Route


class Dropped(msgspec.Struct, frozen=True):
    """The event ended here."""

    reason: DropReason


Output: TypeAlias = (
    SendRecord
    | SendDatagram
    | SendBack
    | InstallFlow
    | RemoveFlow
    | RaiseFlow
    | RaiseFlows
    | RemoveRoute
    | KeepRoute
    | ForgetRoute
    | LookUp
    | FlowAssured
    | Dropped
)
