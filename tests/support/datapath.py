"""A relay's datapath as a dict: no sockets, no batches, the contract and nothing else.

It forwards media and DTLS of assured flows, hands up everything else, and counts so that the law of
conservation can be asserted: received == forwarded + upcalled + sum(dropped).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from config.ids import Endpoint, FlowKey, Instant, Route
from workers.relay.core.interface import (
    FlowExpired,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    RemoveFlow,
    RemoveRoute,
    Upcall,
)
from workers.wire.link import (
    MAX_PAYLOAD,
    RecordType,
    encode_record,
    parse_records,
    split_label,
)
from workers.wire.types import DropReason, Malformed

TOMBSTONE_SILENCE: Final = 30.0


@dataclass
class Flow:
    key: FlowKey
    label: int
    route: Route
    link: Endpoint
    seen: Instant


class DictDatapath:
    """Tables and counters of one relay. `to_link` and `to_client` put bytes on the network."""

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
            if 20 <= first <= 63 or 128 <= first <= 191:
                self.forwarded += 1
                self._to_link(flow.link, encode_record(RecordType.DATA, 0, flow.label, datagram))
                return None
        elif key in self._tombstones and first > 3:
            self._tombstones[key] = now
            self.dropped[DropReason.TOMBSTONE] += 1
            return None
        self.upcalled += 1
        if flow is not None:
            return Upcall(key, datagram, KnownFlow(flow.label, flow.route))
        theirs = [sibling.by_key[key] for sibling in self.siblings if key in sibling.by_key]
        if first <= 3 or not theirs:
            return Upcall(key, datagram, None)
        return Upcall(key, datagram, None, max(theirs, key=lambda flow: flow.seen).route)

    def from_link(self, peer: Endpoint, datagram: bytes, now: Instant) -> list[LinkRecord]:
        """Return DATA of assured flows to their clients, and every other record to the core."""
        records: list[LinkRecord] = []
        try:
            for record in parse_records(datagram):
                flow = self._by_slot.get(split_label(record.label)[0])
                if flow is not None and (flow.label != record.label or flow.link != peer):
                    flow = None
                if record.type is RecordType.DATA and not record.flags and flow is not None:
                    self.returned += 1
                    self._to_client(flow.key, bytes(record.payload))
                else:
                    payload, key = bytes(record.payload), flow.key if flow else None
                    records.append(
                        LinkRecord(peer, record.type, record.flags, record.label, payload, key)
                    )
        except Malformed as error:
            self.dropped[error.reason] += 1
        return records

    def install(self, command: InstallFlow, now: Instant) -> list[FlowExpired]:
        old = self.by_key.get(command.key)
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
