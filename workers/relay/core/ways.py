"""Where a route leads: to a transceiver that we know, or to a relay of the cluster that has it.

What came from a Global Relay is only for transceivers of our own cluster. It is never passed to another
relay, so datagrams cannot go in circles, whatever two configurations say of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from config.ids import ClusterId, Endpoint, FlowKey, Instant, Route
from workers.relay.core.clusters import LINGER, Clusters
from workers.relay.core.interface import (
    InstallFlow,
    KnownFlow,
    OthersHeard,
    Output,
    SendBack,
    SendDatagram,
    SendRecord,
    Upcall,
)
from workers.relay.core.routes import RouteTable
from workers.wire.link import RecordType, encode_intro, encode_routed
from workers.wire.types import DropReason


class Way(NamedTuple):
    """The next hop of a flow."""

    link: Endpoint
    routed: bool = False
    """It is a relay, which has to be told the route."""


class Neighbours(NamedTuple):
    """Relays beside this one that the operator has named. What others say of a cluster counts beside it."""

    clusters: Mapping[ClusterId, Sequence[Endpoint]] = {}  # never written
    """A Global Relay's: the relays of each cluster."""
    globals: frozenset[str] = frozenset()
    """Hosts of the Global Relays that may send us their clients."""
    own: ClusterId = ClusterId(0)


class Ways:
    """Live routes of this cluster, and the relays of others."""

    def __init__(self, neighbours: Neighbours, now: Instant) -> None:
        self.routes = RouteTable()
        self.clusters = Clusters(neighbours.clusters, now)
        self.own = neighbours.own
        self._named = neighbours
        self._globals = neighbours.globals
        self._asked: dict[str, Instant] = {}
        """When Global Relays, whoever has told of them, have sent something last."""

    def hear(self, others: OthersHeard, now: Instant) -> Sequence[Endpoint]:
        """What hosts say of themselves now; gives the relays that are none any more.

        A cluster of which the operator has named relays has these and no others. What was told once and is
        not any more counts for as long as it shows that it lives: whoever tells may have lost sight of it.
        """
        self._globals = self._named.globals | others.globals
        self._asked = {host: at for host, at in self._asked.items() if now - at <= LINGER}
        told = {c: relays for c, relays in others.clusters.items() if c != self.own}
        named = self._named.clusters
        return self.clusters.replace({**told, **named}, now, exact=named)

    def trusts(self, key: FlowKey, now: Instant) -> bool:
        """A Global Relay of ours sent it."""
        host = key.client.host
        if host not in self._globals and now - self._asked.get(host, -inf) > LINGER:
            return False
        self._asked[host] = now
        return True

    def find(self, event: Upcall, route: Route) -> Way | None:
        """The next hop for what a client has sent."""
        link = self.routes.link(route)
        if event.behind is not None:
            return Way(link) if link is not None and route.cluster == self.own else None
        if link is not None:
            return Way(link)
        known = event.flow
        present = known.link if known is not None and known.route == route else None
        relay = self.clusters.choose(route.cluster, event.key.client, present)
        return None if relay is None else Way(relay, routed=True)

    def why_not(self, route: Route) -> DropReason:
        """Why there is no way."""
        return self.routes.why_not(route)


def introduce(event: Upcall, route: Route, way: Way, label: int) -> SendRecord:
    """What a client has sent, with all that the next hop has to know of it."""
    key = event.behind or event.key
    if way.routed:
        payload = encode_routed(route, key, event.datagram)
        return SendRecord(way.link, RecordType.ROUTED, 0, label, payload)
    return SendRecord(way.link, RecordType.INTRO, 0, label, encode_intro(key, event.datagram))


def point(event: Upcall, known: KnownFlow, way: Way) -> list[Output]:
    """The flow goes another way from now on, if the one that it went is dead."""
    if known.link in (None, way.link):
        return []
    return [InstallFlow(event.key, known.label, known.route, way.link)]


def client_of(event: Upcall) -> Endpoint:
    """The client that it came from, through whatever relays."""
    return (event.behind or event.key).client


def to_client(key: FlowKey, flags: int, payload: bytes) -> Output:
    """To the client itself, or to the Global Relay that has it, which wants to see the flags."""
    if key.label is None:
        return SendDatagram(key, payload)
    return SendBack(key, RecordType.DATA, flags, payload)


def forget_too(key: FlowKey | None) -> list[Output]:
    """A Global Relay that has a flow to us has to let it go, too."""
    if key is None or key.label is None:
        return []
    return [SendBack(key, RecordType.FORGET, 0, b"")]
