"""What a Global Relay has sent, read as what its client has: the datagram is the same, the way another."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from config.ids import Instant
from workers.relay.core.flow import FlowState
from workers.relay.core.flowtable import FlowTable
from workers.relay.core.interface import IngressRecord, Output, SendBack, SendRecord, Upcall
from workers.relay.core.pending import PendingFlows
from workers.relay.core.ways import Ways
from workers.wire.link import RecordType, parse_routed
from workers.wire.types import DropReason, Malformed

Reading: TypeAlias = Upcall | list[Output] | DropReason
"""A datagram of a client; or an answer at once; or why it ends here."""


class Ingress:
    """Reads records by what is pending and what is installed."""

    def __init__(self, ways: Ways, table: FlowTable, pending: PendingFlows) -> None:
        self._ways = ways
        self._table = table
        self._pending = pending
        self.draining = False
        """Echoes are not answered any more: Global Relays go elsewhere while we still serve."""

    def read(self, event: IngressRecord, now: Instant) -> Reading:
        """What the record is about. After UNKNOWN_FLOW its sender is to be told."""
        if not self._ways.trusts(event.key, now):
            return DropReason.UNKNOWN_PEER
        match event.type:
            case RecordType.ROUTED:
                return _routed(event)
            case RecordType.DATA:
                return self._data(event)
            case RecordType.ECHO:
                return [] if self.draining else [SendBack(event.key, event.type, 0, b"")]
            case RecordType.INTRO | RecordType.FORGET | RecordType.UNKNOWN:
                return DropReason.UNSUPPORTED
            case _:
                assert_never(event.type)

    def _data(self, event: IngressRecord) -> Reading:
        """Media of no flow that was installed when it came."""
        known = event.flow
        if known is not None and self._table.state(known.label) is FlowState.ASSURED:
            link = self._ways.routes.link(known.route)
            if link is None:
                return self._ways.why_not(known.route)
            return [SendRecord(link, event.type, 0, known.label, event.payload)]
        pending = self._pending.of_key(event.key)
        for flow in pending:
            if flow.recovered:
                return Upcall(event.key, event.payload, None, flow.route, flow.behind)
        return DropReason.PENDING_FLOW if pending else DropReason.UNKNOWN_FLOW


def _routed(event: IngressRecord) -> Reading:
    try:
        route, behind, datagram = parse_routed(event.payload)
    except Malformed as malformed:
        return malformed.reason
    if not datagram:
        return DropReason.EMPTY
    return Upcall(event.key, bytes(datagram), event.flow, route, behind)
