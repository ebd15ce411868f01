"""The datapath in Python: the specification, and the one that runs where nothing faster is built.

Two loops carry all media: `pump_public` and `pump_link`. In them every name is a local, every flow
holds what its datagrams need, and nothing is made per datagram but what `recvfrom` makes. The rest of
the file runs once per flow or once per upcall.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final

from config.ids import Endpoint, Instant, Route, Transport
from workers.relay.core.flowtable import SlotMemory
from workers.relay.core.interface import (
    Event,
    FlowExpired,
    IngressRecord,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
    Upcall,
)
from workers.relay.datapath.base import (
    FLOW_UPCALLS,
    RECORD_RING,
    STRANGERS_MEDIA,
    TICKS,
    TOMBSTONE_SILENCE,
    UPCALL_RING,
    DatapathCounters,
    FlowSeen,
    Source,
)
from workers.relay.datapath.legs import Legs
from workers.relay.datapath.outbox import Outbox
from workers.relay.datapath.parts import Flow, Place, Port
from workers.relay.datapath.sockets import DatagramSocket, SockAddress, sock_address
from workers.wire.demux import FORWARDED, KINDS, Kind
from workers.wire.link import (
    HEADER,
    HEADER_LENGTH,
    MAX_PAYLOAD,
    ROUTED_PREFIX_LENGTH,
    RecordType,
)
from workers.wire.sending import send_failure
from workers.wire.types import DropReason

PUMP_BUDGET: Final = 256
"""Datagrams, or records, of one socket before the others have their turn."""
SWEEP_SHARE: Final = 40
"""A sweep looks at this fraction of the table, and at SWEEP_LEAST flows at least."""
SWEEP_LEAST: Final = 64
REMOVAL_SHARE: Final = 256
"""Flows of a removed route that go in a turn."""
LOOK: Final = 512
"""Flows that one look gives."""
_LINK_BUFFER: Final = 1 << 16
_RECORD_TYPES: Final = {int(t): t for t in RecordType}


class PythonDatapath:
    """See `base`. Sockets are non-blocking, bound, and stay with their owner."""

    def __init__(
        self,
        public: Sequence[tuple[Endpoint, DatagramSocket]],
        link: socket.socket,
        *,
        mtu: int,
        idle: float,
        max_flows: int,
        ingress: tuple[Endpoint, socket.socket] | None = None,
        transport: Transport = Transport.UDP,
    ) -> None:
        """`mtu`: most bytes in a link datagram. `idle`: seconds of silence that end a flow."""
        self.memory: SlotMemory | None = None
        self.inherited: tuple[tuple[Route, Endpoint], ...] = ()
        self.counters = DatapathCounters()
        ports = [*public, ingress] if ingress is not None else public
        self.outbox = Outbox(dict(ports), link, mtu)
        self._ports = [Port(local, sock, transport=transport) for local, sock in public]
        if ingress is not None:
            self._ports.append(Port(*ingress, is_ingress=True))
        self._port_of = {port.local: port for port in self._ports}
        self._link = link
        self._link_buffer = memoryview(bytearray(_LINK_BUFFER))
        self._mtu = mtu
        self._idle = idle
        self._max_tombstones = max_flows
        # A dict and no array of slots: one look-up answers for slot and generation together.
        self._by_label: dict[int, Flow] = {}
        self._by_route: dict[Route, dict[int, Flow]] = {}
        self._doomed: deque[dict[int, Flow]] = deque()
        """Flows of removed routes that have not been taken out yet."""
        self._legs = Legs(link, mtu, self.counters)
        self._rounds: deque[Flow] = deque()
        """All flows, in the order in which the sweep looks at them."""
        self._ended: deque[int] = deque()
        self._records: deque[tuple[SockAddress, RecordType, int, int, bytes]] = deque()
        self._known: deque[tuple[Port, Place, bytes, Flow, RecordType]] = deque()
        self._strangers: deque[tuple[Port, Place, bytes, RecordType]] = deque()

    @property
    def sources(self) -> Sequence[Source]:
        """Every socket."""
        ports = enumerate(port.socket.fileno() for port in self._ports)
        pumps = [(fd, partial(self.pump_public, index, PUMP_BUDGET)) for index, fd in ports]
        return [*pumps, (self._link.fileno(), lambda now: self.pump_link(PUMP_BUDGET))]

    @property
    def flows(self) -> int:
        """Installed flows."""
        return len(self._by_label)

    @property
    def waiting(self) -> int:
        """Events that `next_event` has in store."""
        return len(self._ended) + len(self._records) + len(self._known) + len(self._strangers)

    def add_sibling(self, table: int) -> None:
        """Of no use: what is in there is for the native datapath."""

    # --- the two loops ----------------------------------------------------------------------------

    def pump_public(self, index: int, budget: int, now: Instant) -> int:
        """Read up to `budget` datagrams from a public socket and forward them. How many were read."""
        if self._doomed:
            self._go_on_removing(now)
        port = self._ports[index]
        if port.is_ingress:
            return self._pump_ingress(port, budget, now)
        recvfrom, flow_at = port.socket.recvfrom, port.flows.get
        pack, passes, mtu, loaded = HEADER.pack, FORWARDED, self._mtu, self._legs.loaded
        longest, header_length, data = MAX_PAYLOAD, HEADER_LENGTH, int(RecordType.DATA)
        received, limited, tick = 0, 0, int(now * TICKS)
        try:
            while received < budget:
                # One byte more than is served, so that a longer one shows.
                datagram, address = recvfrom(longest + 1)
                received += 1
                flow = flow_at(address)
                length = len(datagram)
                if (
                    flow is None
                    or not 0 < length <= longest
                    or not passes[datagram[0]]
                    or flow.raised
                ):
                    self._upcall(port, address, datagram, flow, now)
                    continue
                flow.seen = now
                if not flow.admit(tick):
                    limited += 1
                    continue
                leg = flow.leg
                size = leg.size + length + header_length
                if size > mtu:
                    self._legs.send(leg)
                    size = length + header_length
                parts = leg.parts
                if not parts:
                    loaded.append(leg)
                leg.size = size
                parts.append(pack(data, 0, length, flow.label))
                parts.append(datagram)
        except BlockingIOError:
            pass
        self.counters.received += received
        if limited:
            self.counters.dropped[DropReason.FLOW_LIMIT] += limited
        self._legs.flush()
        return received

    def _pump_ingress(self, port: Port, budget: int, now: Instant) -> int:
        """As `pump_public`, with records for datagrams: only the label changes."""
        counters, received, tick = self.counters, 0, int(now * TICKS)
        try:
            while received < budget:
                view, peer = port.socket.recvfrom(_LINK_BUFFER)
                offset, end = 0, len(view)
                while offset < end:
                    received += 1
                    start = offset + HEADER_LENGTH
                    type_, _, length, label = (
                        HEADER.unpack_from(view, offset) if start <= end else (0, 0, 0, 0)
                    )
                    offset = start + length
                    if offset > end or type_ not in _RECORD_TYPES:
                        counters.dropped[DropReason.MALFORMED_LINK] += 1
                        break
                    flow = port.flows.get((peer, label))
                    payload = view[start:offset]
                    forward = type_ == RecordType.DATA and 0 < length <= MAX_PAYLOAD
                    if flow is None or flow.raised or not forward:
                        kind = _RECORD_TYPES[type_]
                        self._upcall(port, (peer, label), payload, flow, now, kind)
                        continue
                    flow.seen = now
                    if flow.admit(tick):
                        self._legs.load(flow, payload)
                    else:
                        counters.dropped[DropReason.FLOW_LIMIT] += 1
        except BlockingIOError:
            pass
        counters.received += received
        self._legs.flush()
        return received

    def pump_link(self, budget: int) -> int:
        """Read link datagrams until `budget` records have come. How many records were read."""
        view, counters = self._link_buffer, self.counters
        recvfrom_into, leg_at = self._link.recvfrom_into, self._legs.get
        unpack_from, flow_of = HEADER.unpack_from, self._by_label.get
        header_length, data = HEADER_LENGTH, int(RecordType.DATA)
        records = returned = 0
        try:
            while records < budget:
                end, peer = recvfrom_into(view)
                leg = leg_at(peer)
                offset = 0
                while offset < end:
                    records += 1
                    start = offset + header_length
                    if start > end:
                        counters.records_dropped[DropReason.MALFORMED_LINK] += 1
                        break
                    type_, flags, length, label = unpack_from(view, offset)
                    offset = start + length
                    if offset > end or type_ not in _RECORD_TYPES:
                        counters.records_dropped[DropReason.MALFORMED_LINK] += 1
                        break
                    flow = flow_of(label)
                    if flow is None or flow.leg is not leg or type_ != data or not length:
                        self._raise(peer, type_, flags, label, bytes(view[start:offset]))
                        continue
                    if flow.back is not None:
                        self._legs.load_back(flow, flow.back, flags, bytes(view[start:offset]))
                        continue
                    try:
                        flow.sendto(view[start:offset], flow.place)
                        returned += 1
                    except OSError as error:
                        counters.records_dropped[send_failure(error)] += 1
        except BlockingIOError:
            pass
        counters.records += records
        counters.returned += returned
        self._legs.flush_back()
        return records

    def stop(self) -> None:
        """Nothing reads the sockets but the calls above."""

    # --- up ---------------------------------------------------------------------------------------

    def _upcall(
        self,
        port: Port,
        place: Place,
        datagram: bytes,
        flow: Flow | None,
        now: Instant,
        kind: RecordType = RecordType.DATA,
    ) -> None:
        """Put what the loop does not forward into its ring, or drop it."""
        counters = self.counters
        length = len(datagram)
        if kind is not RecordType.DATA:
            longest, speaks = MAX_PAYLOAD + ROUTED_PREFIX_LENGTH, True
        else:
            longest = MAX_PAYLOAD
            speaks = length > 0 and not port.is_ingress and KINDS[datagram[0]] is Kind.STUN
        if length > longest or (not length and kind is RecordType.DATA):
            counters.dropped[DropReason.OVERSIZE if length else DropReason.EMPTY] += 1
        elif flow is not None:
            flow.seen = now
            if flow.upcalls >= FLOW_UPCALLS or len(self._known) >= UPCALL_RING:
                counters.dropped[DropReason.UPCALLS_FULL] += 1
                return
            flow.upcalls += 1
            self._known.append((port, place, datagram, flow, kind))
            counters.upcalled += 1
        elif place in port.tombstones and not speaks:
            del port.tombstones[place]
            port.tombstones[place] = now
            counters.dropped[DropReason.TOMBSTONE] += 1
        elif len(self._strangers) >= (UPCALL_RING if speaks else STRANGERS_MEDIA):
            counters.dropped[DropReason.UPCALLS_FULL] += 1
        else:
            self._strangers.append((port, place, datagram, kind))
            counters.upcalled += 1

    def _raise(self, peer: SockAddress, type_: int, flags: int, label: int, payload: bytes) -> None:
        if len(self._records) >= RECORD_RING:
            self.counters.records_dropped[DropReason.QUEUE_FULL] += 1
            return
        self._records.append((peer, _RECORD_TYPES[type_], flags, label, payload))
        self.counters.raised += 1

    def next_event(self) -> Event | None:
        """The next thing for the core to decide."""
        if self._ended:
            return FlowExpired(self._ended.popleft())
        if self._records:
            peer, type_, flags, label, payload = self._records.popleft()
            flow = self._by_label.get(label)
            owned = flow is not None and flow.leg.address == peer
            key = flow.key if flow is not None and owned else None
            return LinkRecord(Endpoint(peer[0], peer[1]), type_, flags, label, payload, key)
        if self._known:
            port, place, datagram, waiting, kind = self._known.popleft()
            waiting.upcalls -= 1
        elif self._strangers:
            port, place, datagram, kind = self._strangers.popleft()
        else:
            return None
        flow = port.flows.get(place)
        known = KnownFlow(flow.label, flow.route, flow.link) if flow else None
        key = port.key_at(place)
        if port.is_ingress:
            return IngressRecord(key, kind, datagram, known)
        return Upcall(key, datagram, known)

    # --- down -------------------------------------------------------------------------------------

    def look(self, start: int, now: Instant) -> tuple[list[FlowSeen], int]:
        """Some installed flows, and where to go on."""
        end, live = start + LOOK, self._by_label
        some = (flow for flow in islice(self._rounds, start, end) if live.get(flow.label) is flow)
        return [flow.seen_at(now) for flow in some], end if end < len(self._rounds) else 0

    def find(self, client: Endpoint, now: Instant) -> list[FlowSeen]:
        """The installed flows of a client."""
        flows = (port.flows.get(sock_address(client)) for port in self._ports)
        return [flow.seen_at(now) for flow in flows if flow is not None]

    # --- the table --------------------------------------------------------------------------------

    def install(self, flow: InstallFlow, now: Instant) -> None:
        """Forward this flow from now on, in place of any other of its key."""
        port = self._port_of[flow.key.local]
        leg = self._legs.join(flow.link)
        old = port.flows.get(port.place_of(flow.key))
        if old is not None and old.label == flow.label and old.route == flow.route:
            self._legs.leave(old.leg)
            old.leg, old.link, old.raised, old.seen, old.passed = leg, flow.link, False, now, 0
            return
        if old is not None:
            self._take_out(old)
        mates = self._by_route.setdefault(flow.route, {})
        new = Flow(flow, port, leg, mates, now)
        port.tombstones.pop(new.place, None)
        port.flows[new.place] = new
        self._by_label[new.label] = new
        mates[new.label] = new
        self._rounds.append(new)

    def remove(self, flow: RemoveFlow, now: Instant) -> None:
        """Forward it no longer; a label that is not installed is ignored."""
        installed = self._by_label.get(flow.label)
        if installed is not None:
            self._bury(installed, now)

    def raise_flow(self, flow: RaiseFlow) -> None:
        """Hand up what comes from its client, until it is installed again."""
        installed = self._by_label.get(flow.label)
        if installed is not None:
            installed.raised = True

    def raise_flows(self, flows: RaiseFlows) -> None:
        """The same for every flow that leads to that link address."""
        for flow in self._by_label.values():
            if flow.link == flows.link:
                flow.raised = True

    def remove_route(self, route: RemoveRoute, now: Instant) -> None:
        """Forward no flow of this route any longer."""
        # A flow of it that comes later is none of these: the route is back, then.
        flows = self._by_route.pop(route.route, None)
        if flows is not None:
            self._doomed.append(flows)
        self._go_on_removing(now)

    def _go_on_removing(self, now: Instant) -> None:
        """Little by little, so that media do not wait for a hundred thousand flows to end."""
        share = REMOVAL_SHARE
        while self._doomed:
            flows = self._doomed[0]
            for flow in list(islice(flows.values(), share)):
                self._bury(flow, now)
                share -= 1
            if flows:
                return
            self._doomed.popleft()

    def sweep(self, now: Instant) -> None:
        """Look at a part of the table for flows and tombstones whose clients have gone silent."""
        self._go_on_removing(now)
        rounds = self._rounds
        for _ in range(min(len(rounds), SWEEP_LEAST + len(rounds) // SWEEP_SHARE)):
            flow = rounds.popleft()
            if self._by_label.get(flow.label) is not flow:
                continue
            if now - flow.seen > self._idle:
                self._take_out(flow)
            else:
                rounds.append(flow)
        for port in self._ports:
            tombstones = port.tombstones
            oldest = islice(tombstones.items(), SWEEP_LEAST + len(tombstones) // SWEEP_SHARE)
            for place in [p for p, hit in oldest if now - hit > TOMBSTONE_SILENCE]:
                del tombstones[place]

    def _bury(self, flow: Flow, now: Instant) -> None:
        self._take_out(flow)
        tombstones = flow.port.tombstones
        tombstones[flow.place] = now
        if len(tombstones) > self._max_tombstones:
            del tombstones[next(iter(tombstones))]

    def _take_out(self, flow: Flow) -> None:
        del flow.port.flows[flow.place]
        del self._by_label[flow.label]
        mates = flow.route_mates
        del mates[flow.label]
        if not mates and self._by_route.get(flow.route) is mates:
            del self._by_route[flow.route]
        self._legs.leave(flow.leg)
        self._ended.append(flow.label)
