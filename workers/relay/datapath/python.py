"""The datapath in Python: the specification, and the one that runs where nothing faster is built.

Two loops carry all media: `pump_public` and `pump_link`. In them every name is a local, every flow
holds what its datagrams need, and nothing is made per datagram but what `recvfrom` makes. The rest of
the file runs once per flow or once per upcall.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from config.ids import Endpoint, FlowKey, Instant, Route, Transport
from workers.relay.core.flowtable import SlotMemory
from workers.relay.core.interface import (
    Event,
    FlowExpired,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    RemoveFlow,
    RemoveRoute,
    SendDatagram,
    SendRecord,
    Upcall,
)
from workers.relay.datapath.base import (
    FLOW_UPCALLS,
    RECORD_RING,
    TOMBSTONE_SILENCE,
    UPCALL_RING,
    DatapathCounters,
    SockAddress,
    Source,
    sock_address,
)
from workers.relay.datapath.outbox import Outbox
from workers.wire.demux import FORWARDED, KINDS, Kind
from workers.wire.link import HEADER, HEADER_LENGTH, MAX_PAYLOAD, RecordType
from workers.wire.sending import send_failure
from workers.wire.types import DropReason

PUMP_BUDGET: Final = 256
"""Datagrams, or records, of one socket before the others have their turn."""
SWEEP_SHARE: Final = 40
"""A sweep looks at this fraction of the table, and at SWEEP_LEAST flows at least."""
SWEEP_LEAST: Final = 64
REMOVAL_SHARE: Final = 256
"""Flows of a removed route that go in a turn."""
_LINK_BUFFER: Final = 1 << 16
_RECORD_TYPES: Final = {int(t): t for t in RecordType}


class _Leg:
    """The way to one transceiver and the records that will leave on it with the next flush."""

    __slots__ = ("address", "flows", "parts", "size")

    def __init__(self, endpoint: Endpoint) -> None:
        self.address = sock_address(endpoint)
        self.flows = 0
        """Installed flows of that transceiver."""
        self.parts: list[bytes] = []
        """Header, payload, header, payload, ..."""
        self.size = 0


class _Flow:
    __slots__ = (
        "address",
        "key",
        "label",
        "leg",
        "port",
        "route",
        "route_mates",
        "seen",
        "sendto",
        "upcalls",
    )

    def __init__(
        self, install: InstallFlow, port: _Port, leg: _Leg, mates: dict[int, _Flow], now: Instant
    ) -> None:
        self.key = install.key
        self.label = install.label
        self.route = install.route
        self.route_mates = mates
        """All flows of its route, by label, itself among them."""
        self.address = sock_address(install.key.client)
        self.port = port
        self.leg = leg
        self.sendto = port.socket.sendto
        self.seen = now
        self.upcalls = 0
        """Its datagrams in the ring."""


class _Port:
    """A public socket, the flows on it, and the tombstones, least recently hit first."""

    __slots__ = ("flows", "local", "socket", "tombstones")

    def __init__(self, local: Endpoint, sock: socket.socket) -> None:
        self.local = local
        self.socket = sock
        self.flows: dict[SockAddress, _Flow] = {}
        self.tombstones: dict[SockAddress, Instant] = {}


class PythonDatapath:
    """See `base`. Sockets are non-blocking, bound, and stay with their owner."""

    def __init__(
        self,
        public: Sequence[tuple[Endpoint, socket.socket]],
        link: socket.socket,
        *,
        mtu: int,
        idle: float,
        max_flows: int,
    ) -> None:
        """`mtu`: most bytes in a link datagram. `idle`: seconds of silence that end a flow."""
        self.memory: SlotMemory | None = None
        self.inherited: tuple[tuple[Route, Endpoint], ...] = ()
        self.counters = DatapathCounters()
        self._outbox = Outbox(dict(public), link, mtu, self.counters)
        self._ports = [_Port(local, sock) for local, sock in public]
        self._port_of = {port.local: port for port in self._ports}
        self._link = link
        self._link_buffer = memoryview(bytearray(_LINK_BUFFER))
        self._mtu = mtu
        self._idle = idle
        self._max_tombstones = max_flows
        # A dict and no array of slots: one look-up answers for slot and generation together.
        self._by_label: dict[int, _Flow] = {}
        self._by_route: dict[Route, dict[int, _Flow]] = {}
        self._doomed: deque[dict[int, _Flow]] = deque()
        """Flows of removed routes that have not been taken out yet."""
        self._legs: dict[SockAddress, _Leg] = {}
        self._loaded: list[_Leg] = []
        """Legs that have something to send."""
        self._rounds: deque[_Flow] = deque()
        """All flows, in the order in which the sweep looks at them."""
        self._ended: deque[int] = deque()
        self._records: deque[tuple[SockAddress, RecordType, int, int, bytes]] = deque()
        self._known: deque[tuple[_Port, SockAddress, bytes, _Flow]] = deque()
        self._strangers: deque[tuple[_Port, SockAddress, bytes]] = deque()

    @property
    def sources(self) -> Sequence[Source]:
        """Every socket."""
        ports = [(p.socket.fileno(), self._pump_of(i)) for i, p in enumerate(self._ports)]
        return [*ports, (self._link.fileno(), lambda now: self.pump_link(PUMP_BUDGET))]

    def _pump_of(self, index: int) -> Callable[[Instant], object]:
        return lambda now: self.pump_public(index, PUMP_BUDGET, now)

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
        recvfrom, flow_at = port.socket.recvfrom, port.flows.get
        pack, passes, mtu, loaded = HEADER.pack, FORWARDED, self._mtu, self._loaded
        longest, header_length, data = MAX_PAYLOAD, HEADER_LENGTH, int(RecordType.DATA)
        received = 0
        try:
            while received < budget:
                # One byte more than is served, so that a longer one shows.
                datagram, address = recvfrom(longest + 1)
                received += 1
                flow = flow_at(address)
                length = len(datagram)
                if flow is None or not 0 < length <= longest or not passes[datagram[0]]:
                    self._upcall(port, address, datagram, flow, now)
                    continue
                flow.seen = now
                leg = flow.leg
                size = leg.size + length + header_length
                if size > mtu:
                    self._send(leg)
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
        self._flush_media()
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
                    try:
                        flow.sendto(view[start:offset], flow.address)
                        returned += 1
                    except OSError as error:
                        counters.records_dropped[send_failure(error)] += 1
        except BlockingIOError:
            pass
        counters.records += records
        counters.returned += returned
        return records

    def stop(self) -> None:
        """Nothing reads the sockets but the calls above."""

    # --- up ---------------------------------------------------------------------------------------

    def _upcall(
        self, port: _Port, address: SockAddress, datagram: bytes, flow: _Flow | None, now: Instant
    ) -> None:
        """Put what the loop does not forward into its ring, or drop it."""
        counters = self.counters
        length = len(datagram)
        if not 0 < length <= MAX_PAYLOAD:
            counters.dropped[DropReason.OVERSIZE if length else DropReason.EMPTY] += 1
        elif flow is not None:
            flow.seen = now
            if flow.upcalls >= FLOW_UPCALLS or len(self._known) >= UPCALL_RING:
                counters.dropped[DropReason.UPCALLS_FULL] += 1
                return
            flow.upcalls += 1
            self._known.append((port, address, datagram, flow))
            counters.upcalled += 1
        elif address in port.tombstones and KINDS[datagram[0]] is not Kind.STUN:
            del port.tombstones[address]
            port.tombstones[address] = now
            counters.dropped[DropReason.TOMBSTONE] += 1
        elif len(self._strangers) >= UPCALL_RING:
            counters.dropped[DropReason.UPCALLS_FULL] += 1
        else:
            self._strangers.append((port, address, datagram))
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
            port, address, datagram, waiting = self._known.popleft()
            waiting.upcalls -= 1
        elif self._strangers:
            port, address, datagram = self._strangers.popleft()
        else:
            return None
        key = FlowKey(Transport.UDP, Endpoint(address[0], address[1]), port.local)
        flow = port.flows.get(address)
        return Upcall(key, datagram, KnownFlow(flow.label, flow.route) if flow else None)

    # --- down -------------------------------------------------------------------------------------

    def send_datagram(self, datagram: SendDatagram) -> None:
        """Send a datagram to a client at once."""
        self._outbox.send_datagram(datagram)

    def send_record(self, record: SendRecord) -> None:
        """Queue a record until `flush`."""
        self._outbox.send_record(record)

    def flush(self) -> None:
        """Send the queued records, packed."""
        self._outbox.flush()

    def _flush_media(self) -> None:
        for leg in self._loaded:
            self._send(leg)
        self._loaded.clear()

    def _send(self, leg: _Leg) -> None:
        parts, counters = leg.parts, self.counters
        forwarded = len(parts) >> 1
        try:
            self._link.sendto(b"".join(parts), leg.address)
            counters.forwarded += forwarded
        except OSError as error:
            counters.dropped[send_failure(error)] += forwarded
        parts.clear()
        leg.size = 0

    def _leg(self, endpoint: Endpoint) -> _Leg:
        address = sock_address(endpoint)
        leg = self._legs.get(address)
        if leg is None:
            leg = self._legs[address] = _Leg(endpoint)
        return leg

    # --- the table --------------------------------------------------------------------------------

    def install(self, flow: InstallFlow, now: Instant) -> None:
        """Forward this flow from now on, in place of any other of its key."""
        port = self._port_of[flow.key.local]
        leg = self._leg(flow.link)
        leg.flows += 1
        old = port.flows.get(sock_address(flow.key.client))
        if old is not None:
            self._take_out(old)
        mates = self._by_route.setdefault(flow.route, {})
        new = _Flow(flow, port, leg, mates, now)
        port.tombstones.pop(new.address, None)
        port.flows[new.address] = new
        self._by_label[new.label] = new
        mates[new.label] = new
        self._rounds.append(new)

    def remove(self, flow: RemoveFlow, now: Instant) -> None:
        """Forward it no longer; a label that is not installed is ignored."""
        installed = self._by_label.get(flow.label)
        if installed is not None:
            self._bury(installed, now)

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
            for address in [a for a, hit in oldest if now - hit > TOMBSTONE_SILENCE]:
                del tombstones[address]

    def _bury(self, flow: _Flow, now: Instant) -> None:
        self._take_out(flow)
        tombstones = flow.port.tombstones
        tombstones[flow.address] = now
        if len(tombstones) > self._max_tombstones:
            del tombstones[next(iter(tombstones))]

    def _take_out(self, flow: _Flow) -> None:
        del flow.port.flows[flow.address]
        del self._by_label[flow.label]
        mates = flow.route_mates
        del mates[flow.label]
        if not mates and self._by_route.get(flow.route) is mates:
            del self._by_route[flow.route]
        leg = flow.leg
        leg.flows -= 1
        if not leg.flows:
            del self._legs[leg.address]
        self._ended.append(flow.label)
