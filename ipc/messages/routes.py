"""Which transceiver boots and which relays are live: the supervisor tells, who routes by it acknowledges.

A transceiver is given sessions only after every live relay has acknowledged its route, so the first
check of a client never meets a relay that does not know where to send it. A relay that is added gets
datagrams only after every transceiver has acknowledged its link address, so that none is dropped.
"""

from __future__ import annotations

import msgspec

from config.ids import ClusterId, Endpoint, Route
from ipc.messages.lifecycle import Tagged


class LiveRoute(msgspec.Struct, frozen=True):
    """A route and the link address of its transceiver."""

    route: Route
    link: Endpoint


class ClusterRelays(msgspec.Struct, frozen=True):
    """Where relays of another cluster take clients, as its hosts say."""

    cluster: ClusterId
    relays: tuple[Endpoint, ...]


class Routes(Tagged, frozen=True):
    """The whole truth, on every change and after each Hello of a relay; absent routes are withdrawn."""

    serial: int
    routes: tuple[LiveRoute, ...]
    clusters: tuple[ClusterRelays, ...] = ()
    """Beside those of the configuration."""
    global_relays: tuple[str, ...] = ()
    """Hosts that may send us their clients, beside those of the configuration."""


class RoutesApplied(Tagged, frozen=True):
    """A relay's acknowledgement: it routes by that serial."""

    serial: int


class TransceiverEntry(msgspec.Struct, frozen=True):
    """What signaling needs to place a session."""

    route: Route
    rpc: str
    sessions: int
    max_sessions: int
    accepting: bool
    """False while its route is not known everywhere, and while it drains."""


class Transceivers(Tagged, frozen=True):
    """All transceivers, to signaling, on change, and now and then again."""

    entries: tuple[TransceiverEntry, ...]
    draining: bool = False
    """The whole host drains: answer 503 and be not ready."""


class Relays(Tagged, frozen=True):
    """The link addresses of all relays, to transceivers, on every change and after each Hello."""

    serial: int
    links: tuple[Endpoint, ...]


class RelaysApplied(Tagged, frozen=True):
    """A transceiver's acknowledgement: it hears these relays and nobody else."""

    serial: int
