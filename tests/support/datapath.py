"""A relay's datapath as a dict: no sockets, no batches, the contract and nothing else.

It forwards media and DTLS of assured flows, hands up everything else, and counts so that the law of
conservation can be asserted: received == forwarded + upcalled + sum(dropped).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from config.ids import Endpoint, FlowKey, Instant, Route, Transport
from workers.relay.core.interface import (
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
from workers.wire.link import HEADER, MAX_PAYLOAD, RecordType, encode_record, split_label
from workers.wire.types import DropReason

TOMBSTONE_SILENCE: Final = 30.0


@dataclass
class Flow:
    key: FlowKey
    label: int
    route: Route
    link: Endpoint
    seen: Instant
    raised: bool = False


def records_of(datagram: bytes) -> Iterator[tuple[RecordType, int, int, bytes]]:
    """Type, flags, label and payload of each; nothing here is malformed."""
    while datagram:
        type_, flags, length, label = HEADER.unpack_from(datagram)
        end = HEADER.size + length
        yield RecordType(type_), flags, label, datagram[HEADER.size : end]
        datagram = datagram[end:]


class DictDatapath:
    """Tables and counters of one relay. `to_link` and `to_client` put bytes on the network.

    Of a flow whose key has a label, `to_client` gets records for its Global Relay.
    """

    def __init__(
        self,
        *,
        to_link: Callable[[Endpoint, bytes], None],
        to_client: Callable[[FlowKey, bytes], None],
        idle: float,
        siblings: Sequence[DictDatapath] = (),
    ) -> None:
        self.siblings = list(siblings)
        self._to_link = to_link
        self._to_client = to_client
        self._idle = idle
        self.by_key: dict[FlowKey, Flow] = {}
        self._by_slot: dict[int, Flow] = {}
        self._tombstones: dict[FlowKey, Instant] = {}
        self.received = 0
        self.forwarded = 0
        self.upcalled = 0
        self.returned = 0
        self.dropped: Counter[DropReason] = Counter()

    @property
    def conserved(self) -> bool:
        return self.received == self.forwarded + self.upcalled + self.dropped.total()

    def from_client(self, key: FlowKey, datagram: bytes, now: Instant) -> Upcall | None:
        """Forward it, drop it, or return it as an upcall."""
        self.received += 1
        if not datagram or len(datagram) > MAX_PAYLOAD:
            self.dropped[DropReason.OVERSIZE if datagram else DropReason.EMPTY] += 1
            return None
        flow = self.by_key.get(key)
        first = datagram[0]
        if flow is not None:
            flow.seen = now
            if (20 <= first <= 63 or 128 <= first <= 191) and not flow.raised:
                self.forwarded += 1
                self._to_link(flow.link, encode_record(RecordType.DATA, 0, flow.label, datagram))
                return None
        elif key in self._tombstones and first > 3:
            self._tombstones[key] = now
            self.dropped[DropReason.TOMBSTONE] += 1
            return None
        self.upcalled += 1
        if flow is not None:
            return Upcall(key, datagram, KnownFlow(flow.label, flow.route, flow.link))
        theirs = [sibling.by_key[key] for sibling in self.siblings if key in sibling.by_key]
        if first <= 3 or not theirs:
            return Upcall(key, datagram, None)
        return Upcall(key, datagram, None, max(theirs, key=lambda flow: flow.seen).route)

    def from_global(
        self, peer: Endpoint, local: Endpoint, datagram: bytes, now: Instant
    ) -> list[IngressRecord]:
        """Forward DATA of assured flows under their labels, and return every other record."""
        raised: list[IngressRecord] = []
        for type_, _, label, payload in records_of(datagram):
            self.received += 1
            key = FlowKey(Transport.UDP, peer, local, label)
            flow = self.by_key.get(key)
            if flow is not None:
                flow.seen = now
            elif key in self._tombstones and type_ is RecordType.DATA:
                self._tombstones[key] = now
                self.dropped[DropReason.TOMBSTONE] += 1
                continue
            if flow is not None and type_ is RecordType.DATA and payload and not flow.raised:
                self.forwarded += 1
                self._to_link(flow.link, encode_record(type_, 0, flow.label, payload))
                continue
            self.upcalled += 1
            known = KnownFlow(flow.label, flow.route, flow.link) if flow else None
            raised.append(IngressRecord(key, type_, payload, known))
        return raised

    def from_link(self, peer: Endpoint, datagram: bytes, now: Instant) -> list[LinkRecord]:
        """Return DATA of assured flows to their clients, and every other record to the core."""
        records: list[LinkRecord] = []
        for type_, flags, label, payload in records_of(datagram):
            flow = self._by_slot.get(split_label(label)[0])
            if flow is not None and (flow.label != label or flow.link != peer):
                flow = None
            if flow is not None and type_ is RecordType.DATA and payload:
                self.returned += 1
                if flow.key.label is not None:
                    payload = encode_record(type_, flags, flow.key.label, payload)
                self._to_client(flow.key, payload)
            else:
                key = flow.key if flow else None
                records.append(LinkRecord(peer, type_, flags, label, payload, key))
        return records

    def install(self, command: InstallFlow, now: Instant) -> list[FlowExpired]:
        old = self.by_key.get(command.key)
        if old is not None and old.label == command.label:
            old.link, old.seen, old.raised = command.link, now, False
            return []
        if old is not None:
            self._forget(old)
        flow = Flow(command.key, command.label, command.route, command.link, now)
        self.by_key[flow.key] = self._by_slot[split_label(flow.label)[0]] = flow
        self._tombstones.pop(flow.key, None)
        return [FlowExpired(old.label)] if old is not None else []

    def remove(self, command: RemoveFlow, now: Instant) -> list[FlowExpired]:
        flow = self._by_slot.get(split_label(command.label)[0])
        if flow is None or flow.label != command.label:
            return []
        self._forget(flow)
        self._tombstones[flow.key] = now
        return [FlowExpired(flow.label)]

    def remove_route(self, command: RemoveRoute, now: Instant) -> list[FlowExpired]:
        gone = [flow for flow in self.by_key.values() if flow.route == command.route]
        for flow in gone:
            self._forget(flow)
            self._tombstones[flow.key] = now
        return [FlowExpired(flow.label) for flow in gone]

    def raise_flow(self, command: RaiseFlow) -> None:
        flow = self._by_slot.get(split_label(command.label)[0])
        if flow is not None and flow.label == command.label:
            flow.raised = True

    def raise_flows(self, command: RaiseFlows) -> None:
        for flow in self.by_key.values():
            flow.raised = flow.raised or flow.link == command.link

    def sweep(self, now: Instant) -> list[FlowExpired]:
        """Take out what has been silent for too long."""
        gone = [flow for flow in self.by_key.values() if now - flow.seen > self._idle]
        for flow in gone:
            self._forget(flow)
        for key, seen in list(self._tombstones.items()):
            if now - seen > TOMBSTONE_SILENCE:
                del self._tombstones[key]
        return [FlowExpired(flow.label) for flow in gone]

    def _forget(self, flow: Flow) -> None:
        self.by_key.pop(flow.key, None)
        self._by_slot.pop(split_label(flow.label)[0], None)
