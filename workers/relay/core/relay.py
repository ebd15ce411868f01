"""The relay's one door: what to do with all that the datapath does not know by itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, assert_never

import msgspec

from config.ids import Endpoint, Instant, Route
from ipc.messages.flows import FlowSummary
from workers.relay.core.cache import Cache
from workers.relay.core.classify import Answer, Check, Media, classify
from workers.relay.core.counters import RelayCounters
from workers.relay.core.flow import FlowState, PendingFlow
from workers.relay.core.flowtable import FlowTable, SlotMemory
from workers.relay.core.ingress import Ingress
from workers.relay.core.interface import (
    CacheSeen,
    Draining,
    Dropped,
    Event,
    FlowAssured,
    FlowExpired,
    IngressRecord,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    OthersHeard,
    Output,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
    RouteAdded,
    RouteFound,
    RouteRemoved,
    SendBack,
    SendRecord,
    Upcall,
)
from workers.relay.core.pending import LIFE, PendingFlows, summary
from workers.relay.core.strangers import Strangers
from workers.relay.core.ways import (
    Neighbours,
    Way,
    Ways,
    client_of,
    forget_too,
    introduce,
    point,
    to_client,
)
from workers.wire.link import FLAG_ASSURED, FLAG_PROVEN, RecordType
from workers.wire.types import DropReason, Malformed
from workers.wire.ufrag import UfragKeys

_DROPPED: Final = {reason: [Dropped(reason)] for reason in DropReason}


class Relay:
    """Decides where datagrams go. Never raises on peer input. Never looks at a clock.

    It holds what is not settled: live routes, pending flows, and which slots are taken. Assured flows
    are in the datapath; what it knows of them comes in with each event.
    """

    def __init__(
        self,
        keys: UfragKeys,
        entropy: Callable[[int], bytes],
        *,
        max_flows: int,
        max_pending: int,
        memory: SlotMemory | None = None,
        neighbours: Neighbours = Neighbours(),  # noqa: B008  # a value
        now: Instant = 0.0,
    ) -> None:
        """`memory`: of the datapath's slots, where an earlier relay may have left flows."""
        self._keys = keys
        self._ways = Ways(neighbours, now)
        self._table = FlowTable(memory or SlotMemory.fresh(max_flows, entropy), now)
        self._pending = PendingFlows()
        self._ingress = Ingress(self._ways, self._table, self._pending)
        self._strangers = Strangers(self._table, self._pending, max_pending)
        self.cache = Cache(max_flows)
        self.counters = RelayCounters()

    @property
    def pending(self) -> int:
        """Flows that wait for their transceiver's word."""
        return self._table.pending

    @property
    def assured(self) -> int:
        """Flows in the datapath."""
        return self._table.assured

    @property
    def ways(self) -> Ways:
        """Where routes lead, to be looked at."""
        return self._ways

    def handle(self, event: Event, now: Instant) -> list[Output]:
        """Take in one event. The outputs are to be carried out in order."""
        match event:
            case Upcall():
                return self._upcall(event, now)
            case IngressRecord():
                return self._from_global(event, now)
            case LinkRecord():
                return self._record(event, now)
            case RouteAdded(route=route, link=link):
                return self._add_route(route, link, now)
            case RouteRemoved(route=route):
                return self._remove_route(route, now)
            case RouteFound():
                return self._found(event, now)
            case CacheSeen():
                return self.cache.seen(event)
            case OthersHeard():
                return [RaiseFlows(relay) for relay in self._ways.hear(event, now)]
            case Draining():
                self._ingress.draining = True
                return []
            case FlowExpired(label=label):
                self.cache.ended(label)
                if self._table.state(label) is FlowState.ASSURED:
                    self._table.end(label, now)
                return []
            case _:
                assert_never(event)

    def resolve(self, ufrag: str) -> tuple[Route, Endpoint | None]:
        """Where a ufrag leads, and the link address if that is live. Raises Malformed."""
        route = self._keys.decode(ufrag)
        return route, self._ways.routes.link(route)

    def pending_flows(
        self, client: Endpoint | None, limit: int, now: Instant
    ) -> tuple[FlowSummary, ...]:
        """Some of them, or those of one client."""
        flows = (f for f in self._pending.values() if client is None or f.key.client == client)
        return tuple(summary(flow, now) for flow in islice(flows, limit))

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do, at the earliest."""
        timed = (self._pending, self._ways.clusters, self.cache)
        return min((at for each in timed if (at := each.next_timeout()) is not None), default=None)

    def handle_timeout(self, now: Instant) -> list[Output]:
        """Let pending flows go that nobody vouched for; ask other clusters' relays whether they live."""
        for flow in self._pending.expired(now):
            self._table.end(flow.label, now)
            self.counters.expired += 1
        self.counters.upcalls_dropped[DropReason.LOOKUP_FAILED] += self.cache.overdue(now)
        number, relays, dead = self._ways.clusters.ask(now)
        return [
            *(SendRecord(relay, RecordType.ECHO, 0, number, b"") for relay in relays),
            *(RaiseFlows(relay) for relay in dead),
        ]

    # --- from clients -----------------------------------------------------------------------------

    def _upcall(self, event: Upcall, now: Instant) -> list[Output]:
        self.counters.upcalls += 1
        try:
            meaning = classify(event.datagram, self._keys)
        except Malformed as malformed:
            return self._drop_upcall(malformed.reason)
        known = event.flow
        if known is not None and self._table.state(known.label) is not FlowState.ASSURED:
            known = None
        match meaning:
            case Check():
                return self._check(event, known, meaning, now)
            case Answer():
                return self._answer(event, known, now)
            case Media():
                return self._media(event, known, now)
            case _:
                assert_never(meaning)

    def _check(
        self, event: Upcall, known: KnownFlow | None, check: Check, now: Instant
    ) -> list[Output]:
        """A check always decides by its ufrag, whatever its source has talked to before."""
        way = self._ways.find(event, check.route)
        if way is None:
            return self._drop_upcall(self._ways.why_not(check.route))
        if known is not None and known.route == check.route:
            self.counters.introduced += 1
            return [
                *point(event, known, way),
                introduce(event, check.route, way, known.label),
                *self.cache.keep(event.key, known.label, known.route, now),
            ]
        flow = self._strangers.admit(event, check, now)
        if isinstance(flow, DropReason):
            return self._drop_upcall(flow)
        flow.expires = now + LIFE
        flow.rival = known.label if known is not None else flow.rival
        self.counters.introduced += 1
        return [_introduce_pending(event, flow, way)]

    def _answer(self, event: Upcall, known: KnownFlow | None, now: Instant) -> list[Output]:
        """It names nobody, so it goes to all that its source talks to; who asked will know it."""
        outputs: list[Output] = []
        refusal = DropReason.UNKNOWN_FLOW
        if known is not None and (way := self._ways.find(event, known.route)) is not None:
            outputs += point(event, known, way)
            outputs.append(introduce(event, known.route, way, known.label))
        for flow in self._pending.of_key(event.key):
            way = self._ways.find(event, flow.route)
            limit = self._strangers.refuse(event, flow, now)
            if way is None or limit is not None:
                refusal = limit or refusal
                continue
            outputs.append(_introduce_pending(event, flow, way))
        if not outputs:
            return self._drop_upcall(refusal)
        self.counters.introduced += 1
        return outputs

    def _media(self, event: Upcall, known: KnownFlow | None, now: Instant) -> list[Output]:
        if known is None:
            return self._recover(event, now)
        way = self._ways.find(event, known.route)
        if way is None:
            return self._drop_upcall(self._ways.why_not(known.route))
        self.counters.introduced += 1
        if way.routed:
            # The relay that it led to is dead, or did not know it: from here on, it and the next one do.
            install = InstallFlow(event.key, known.label, known.route, way.link)
            return [install, introduce(event, known.route, way, known.label)]
        # It waited in the ring while its flow was installed.
        return [SendRecord(way.link, RecordType.DATA, 0, known.label, event.datagram)]

    def _recover(self, event: Upcall, now: Instant) -> list[Output]:
        """Media of a stranger: of use only if a sibling or the cache knows its flow, and the owner, too."""
        pending = self._pending.of_key(event.key)
        route = event.sibling or next((flow.route for flow in pending if flow.recovered), None)
        if route is None:
            if pending:
                return self._drop_upcall(DropReason.PENDING_FLOW)
            outputs = self.cache.hold(event, client_of(event), now)
            return self._drop_upcall(outputs) if isinstance(outputs, DropReason) else outputs
        way = self._ways.find(event, route)
        if way is None:
            return self._drop_upcall(self._ways.why_not(route))
        flow = self._strangers.recover(event, route, now)
        if isinstance(flow, DropReason):
            return self._drop_upcall(flow)
        self.counters.introduced += 1
        return [_introduce_pending(event, flow, way)]

    def _found(self, event: RouteFound, now: Instant) -> list[Output]:
        """What waited goes on as if a sibling had known it, or ends in a tombstone."""
        waited = self.cache.found(event)
        if not waited:
            return []
        route = event.route
        if route is not None and self._ways.find(waited[0], route) is not None:
            known = (msgspec.structs.replace(upcall, sibling=route) for upcall in waited)
            return [output for upcall in known for output in self._recover(upcall, now)]
        reason = DropReason.LOOKUP_FAILED if route is None else self._ways.why_not(route)
        self.counters.upcalls_dropped[reason] += len(waited)
        waits = self._pending.of_key(event.key)
        return [*(() if waits else self.cache.bury(event.key, self._table, now)), Dropped(reason)]

    def _drop_upcall(self, reason: DropReason) -> list[Output]:
        self.counters.upcalls_dropped[reason] += 1
        return list[Output](_DROPPED[reason])

    # --- from Global Relays -----------------------------------------------------------------------

    def _from_global(self, event: IngressRecord, now: Instant) -> list[Output]:
        reading = self._ingress.read(event, now)
        if isinstance(reading, Upcall):
            return self._upcall(reading, now)
        self.counters.upcalls += 1
        if isinstance(reading, DropReason):
            outputs = self._drop_upcall(reading)
            if reading is DropReason.UNKNOWN_FLOW:
                outputs.append(SendBack(event.key, RecordType.UNKNOWN, 0, b""))
            return outputs
        self.counters.introduced += 1
        return reading

    # --- from transceivers, and from relays of other clusters --------------------------------------

    def _record(self, event: LinkRecord, now: Instant) -> list[Output]:
        self.counters.records += 1
        if event.type is RecordType.ECHO and event.peer in self._ways.clusters:
            self._ways.clusters.heard(event.peer, now)
            return []
        match self._table.state(event.label):
            case FlowState.PENDING:
                flow = self._pending.with_label(event.label)
                if flow is None or flow.link != event.peer:
                    return self._drop_record(DropReason.UNKNOWN_PEER)
                return self._record_of_pending(event, flow, now)
            case FlowState.ASSURED:
                if event.flow is None:
                    return self._drop_record(DropReason.UNKNOWN_PEER)
                return self._record_of_assured(event)
            case FlowState.FREE | FlowState.RESTING | None:
                return self._drop_record(DropReason.STALE_LABEL)

    def _record_of_pending(
        self, event: LinkRecord, flow: PendingFlow, now: Instant
    ) -> list[Output]:
        match event.type:
            case RecordType.DATA:
                if event.flags & FLAG_ASSURED and self._may_install(flow, event.flags):
                    return self._assure(flow, event, now)
                if not event.payload:
                    return self._drop_record(DropReason.EMPTY)
                if not flow.may_return(len(event.payload)):
                    return self._drop_record(DropReason.AMPLIFICATION_LIMIT)
                flow.returned += len(event.payload)
                return [to_client(flow.key, event.flags, event.payload)]
            case RecordType.FORGET | RecordType.UNKNOWN:
                over = self.cache.drop(flow.key) if flow.recovered else []
                return [*self._refuse(flow, event.peer, now), *forget_too(flow.key), *over]
            case RecordType.INTRO | RecordType.ROUTED | RecordType.ECHO:
                return self._drop_record(DropReason.UNSUPPORTED)
            case _:
                assert_never(event.type)

    def _record_of_assured(self, event: LinkRecord) -> list[Output]:
        match event.type:
            case RecordType.DATA:
                if event.flow is None or not event.payload:
                    return self._drop_record(DropReason.EMPTY)
                return [to_client(event.flow, event.flags, event.payload)]
            case RecordType.UNKNOWN if event.peer in self._ways.clusters:
                return [RaiseFlow(event.label)]  # a relay knows nothing but what it has been told
            case RecordType.FORGET | RecordType.UNKNOWN:
                over = self.cache.drop(event.flow)
                return [RemoveFlow(event.label), *forget_too(event.flow), *over]
            case RecordType.INTRO | RecordType.ROUTED | RecordType.ECHO:
                return self._drop_record(DropReason.UNSUPPORTED)
            case _:
                assert_never(event.type)

    def _may_install(self, flow: PendingFlow, flags: int) -> bool:
        """A signed check may be replayed from a spoofed source, so it takes no other session's flow."""
        if flags & FLAG_PROVEN or flow.rival is None:
            return True
        return self._table.state(flow.rival) is not FlowState.ASSURED

    def _assure(self, flow: PendingFlow, event: LinkRecord, now: Instant) -> list[Output]:
        self._pending.remove(flow)
        self._table.assure(flow.label)
        for sibling in self._pending.of_key(flow.key):
            sibling.rival = flow.label
        self.counters.assured += 1
        # The flow first: its client sends as soon as it has the response.
        outputs: list[Output] = [
            InstallFlow(flow.key, flow.label, flow.route, event.peer),
            FlowAssured(flow.key, flow.route),
            *self.cache.keep(flow.key, flow.label, flow.route, now, recovered=flow.recovered),
        ]
        if event.payload or flow.key.label is not None:
            outputs.append(to_client(flow.key, event.flags, event.payload))
        return outputs

    def _refuse(self, flow: PendingFlow, link: Endpoint, now: Instant) -> list[Output]:
        """Its owner does not want it.

        What a sibling's table says would bring it back with the next datagram, so a recovered flow
        leaves a tombstone as others do: it is installed for no longer than that takes.
        """
        if not flow.recovered or not self._may_install(flow, 0):
            self._end(flow, now)
            return []
        self._pending.remove(flow)
        self._table.assure(flow.label)
        return [InstallFlow(flow.key, flow.label, flow.route, link), RemoveFlow(flow.label)]

    def _drop_record(self, reason: DropReason) -> list[Output]:
        self.counters.records_dropped[reason] += 1
        return list[Output](_DROPPED[reason])

    # --- from the supervisor ----------------------------------------------------------------------

    def _add_route(self, route: Route, link: Endpoint, now: Instant) -> list[Output]:
        outputs: list[Output] = []
        if self._ways.routes.link(route) not in (None, link):
            outputs = self._remove_route(route, now)
        self._ways.routes.add(route, link)
        return outputs

    def _remove_route(self, route: Route, now: Instant) -> list[Output]:
        if not self._ways.routes.remove(route):
            return []
        for flow in self._pending.of_route(route):
            self._end(flow, now)
        return [RemoveRoute(route)]

    def _end(self, flow: PendingFlow, now: Instant) -> None:
        self._pending.remove(flow)
        self._table.end(flow.label, now)


def _introduce_pending(event: Upcall, flow: PendingFlow, way: Way) -> SendRecord:
    flow.link = way.link
    flow.behind = event.behind
    flow.received += len(event.datagram)
    return introduce(event, flow.route, way, flow.label)
