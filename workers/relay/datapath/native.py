"""The datapath in C, seen from Python: commands down, events up, counters read.

The C thread (workers/native/fastpath.c) owns the receiving side of all sockets and the flow table.
What the core says goes out from here, through the same sockets: an install is in the command ring
before the response that lets its client send has left, and the thread applies commands between
receiving a batch and looking it up, so the client's next datagram meets its flow.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final

from config.ids import (
    ClusterId,
    Endpoint,
    Epoch,
    FlowKey,
    Instant,
    Route,
    TransceiverId,
    Transport,
)
from workers.native import load
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
from workers.relay.datapath.base import DatapathCounters, FlowSeen, Source
from workers.relay.datapath.fresh import FreshFlows
from workers.relay.datapath.look import TableLook
from workers.relay.datapath.outbox import Outbox
from workers.wire.demux import KINDS, Kind
from workers.wire.link import RecordType
from workers.wire.types import DropReason

_UPCALL: Final = struct.Struct("=IIIH3HHBBBB18s18s2x")
_COMMAND: Final = struct.Struct("=III3HH18s18s")
_DECIDING: Final = 10
"""Nice value of the thread that runs Python."""
_TAKE: Final = 1 << 17
"""Most bytes of events that one look brings; the rest waits in the rings. The longest record has 64 KiB."""
_MAX_WAYS: Final = 4096
_RECORD_TYPES: Final = {int(t): t for t in RecordType}
_NO_ROUTE: Final = Route(ClusterId(0), TransceiverId(0), Epoch(0))

_DROPPED: Final = (
    DropReason.EMPTY,
    DropReason.OVERSIZE,
    DropReason.TOMBSTONE,
    DropReason.UPCALLS_FULL,
    DropReason.FLOW_LIMIT,
    DropReason.SEND_WOULD_BLOCK,
    DropReason.SEND_REFUSED,
    DropReason.SEND_UNREACHABLE,
    DropReason.SEND_TOO_BIG,
    DropReason.SEND_NO_BUFFERS,
    DropReason.MALFORMED_LINK,
)
_RECORDS_DROPPED: Final = (
    DropReason.MALFORMED_LINK,
    DropReason.QUEUE_FULL,
    DropReason.SEND_WOULD_BLOCK,
    DropReason.SEND_REFUSED,
    DropReason.SEND_UNREACHABLE,
    DropReason.SEND_TOO_BIG,
    DropReason.SEND_NO_BUFFERS,
)


def _fitting(table: int, size: int) -> None:
    """Make the file long enough. Never shorter: a sibling may have mapped it, and would die of that."""
    if os.fstat(table).st_size < size:
        os.truncate(table, size)


class NativeDatapath:
    """See `base`. `table` and `siblings` are descriptors of shared memory, which stay with their owner.

    The first is this relay's own, empty or as an earlier one has left it; what is not a table of that
    capacity becomes an empty one. Sockets are non-blocking, bound, and stay with their owner. Without
    `start` nothing moves but by the pumps, as tests want it.
    """

    def __init__(
        self,
        public: Sequence[tuple[Endpoint, socket.socket]],
        link: socket.socket,
        *,
        mtu: int,
        idle: float,
        max_flows: int,
        table: int,
        siblings: Sequence[int] = (),
        ingress: tuple[Endpoint, socket.socket] | None = None,
    ) -> None:
        """`mtu`: most bytes in a link datagram. `idle`: seconds of silence that end a flow."""
        module = load()
        self._ffi, self._lib = ffi, lib = module.ffi, module.lib
        _fitting(table, lib.fp_table_size(max_flows))
        self._fp = lib.fp_open(table, max_flows, mtu, int(idle))
        if self._fp == ffi.NULL:
            raise MemoryError("no memory for the flow table")
        self._threaded = self._started = self._closed = False
        ports = [*public, ingress] if ingress is not None else public
        self._ingress = len(public)
        """Index of the port to which Global Relays send, if there is one."""
        self._locals = [local for local, _ in ports]
        self._port_of = {
            local: lib.fp_add_port(self._fp, sock.fileno(), local.pack()) for local, sock in ports
        }
        if ingress is not None:
            lib.fp_set_ingress(self._fp, self._ingress)
        failed = lib.fp_set_link(self._fp, link.fileno()) or min(self._port_of.values()) < 0
        failed = failed or any(lib.fp_add_sibling(self._fp, fd) for fd in siblings)
        if failed or (recovered := lib.fp_recover(self._fp)) < 0:
            lib.fp_close(self._fp)
            raise OSError("too many sockets for one relay, or one that is none")
        self._has_siblings = bool(siblings)
        self._table = TableLook(module, self._fp, self._locals, self._ingress)
        self.memory: SlotMemory | None = self._slots(max_flows, recovered)
        self.inherited = self._ways()
        self.outbox = Outbox(dict(ports), link, mtu)
        self._buffer = self._ffi.new("uint8_t[]", _TAKE)
        self._view = memoryview(self._ffi.buffer(self._buffer))
        self._numbers = self._ffi.new("uint64_t[]", self._lib.FP_COUNTERS)
        self._events: deque[Event] = deque()
        self._fresh = FreshFlows()
        self._peers: dict[bytes, Endpoint] = {}
        """Link addresses as they stand in upcalls: there are few, and to read one takes a while."""
        self._client = ffi.new("uint8_t[18]")
        self._route = ffi.new("uint16_t[3]")
        self._now: Instant = 0.0
        """Of the last call, for rounds without the thread."""
        self._backlog: deque[bytes] = deque()
        """Commands that the ring had no room for."""

    def add_sibling(self, table: int) -> None:
        """Ask this one too, from now on, for flows that are not ours."""
        if self._lib.fp_add_sibling(self._fp, table) == 0:
            self._has_siblings = True

    def start(self, cpu: int | None) -> None:
        """Let a thread of its own pump from now on, pinned to that CPU."""
        if self._lib.fp_start(self._fp, -1 if cpu is None else cpu):
            raise OSError("the datapath's thread cannot be started")
        self._threaded = self._started = True
        # They share a CPU. Under a flood there is always something to decide, and media go first.
        # Who is nicer already stays so: less nice is a privilege.
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(ours, _DECIDING))  # of this thread only

    def stop(self) -> None:
        """Stop the thread; then the calls do its work, as far as there is any without sockets."""
        self._lib.fp_stop(self._fp)
        self._threaded = False
        self.sweep(self._now)

    def close(self) -> None:
        """Stop the thread and give the memory back. The table stays as it is; counters can be read."""
        if not self._closed:
            self._lib.fp_stop(self._fp)
            for view in self._kept:  # whoever uses it after this meets an error and no hole
                view.release()
            self._lib.fp_counters(self._fp, self._numbers)
            self._closed = True
            self._lib.fp_close(self._fp)

    @property
    def sources(self) -> Sequence[Source]:
        """One: the eventfd by which the thread says that there are events."""
        return [(self._lib.fp_upcall_fd(self._fp), self._nothing)]

    @property
    def counters(self) -> DatapathCounters:
        """As they stood after the thread's last round."""
        n, lib = self._numbers, self._lib
        if not self._closed:
            lib.fp_counters(self._fp, n)
        dropped, lost = lib.FP_DROPPED_EMPTY, lib.FP_RECORDS_MALFORMED
        return DatapathCounters(
            received=n[lib.FP_RECEIVED],
            forwarded=n[lib.FP_FORWARDED],
            upcalled=n[lib.FP_UPCALLED],
            dropped=_by_reason(_DROPPED, n, dropped),
            records=n[lib.FP_RECORDS],
            returned=n[lib.FP_RETURNED],
            raised=n[lib.FP_RAISED],
            records_dropped=_by_reason(_RECORDS_DROPPED, n, lost),
        )

    @property
    def flows(self) -> int:
        """Installed flows."""
        return self._number(self._lib.FP_FLOWS)

    @property
    def waiting(self) -> int:
        """Events that `next_event` has in store, as far as it has looked."""
        if not self._events:
            self._take()
        return len(self._events)

    def pump_public(self, index: int, budget: int, now: Instant) -> int:
        """A round of the thread's work on one public socket, in its absence."""
        return self._round(self._lib.FP_RECEIVED, 2 << index, now)

    def pump_link(self, budget: int) -> int:
        """The same on the link socket."""
        return self._round(self._lib.FP_RECORDS, 1, self._now)

    def next_event(self) -> Event | None:
        """The next thing for the core to decide."""
        if not self._events:
            self._take()
        event = self._events.popleft() if self._events else None
        if type(event) is LinkRecord:
            return self._fresh.meet_record(event)
        if type(event) is Upcall or type(event) is IngressRecord:
            return self._fresh.meet_upcall(event)
        return event

    def install(self, flow: InstallFlow, now: Instant) -> None:
        """Forward this flow from now on, in place of any other of its key."""
        key = flow.key
        self._now = now
        self._fresh.install(flow)
        self._command(
            self._lib.FP_INSTALL,
            flow.label,
            flow.route,
            self._port_of[key.local],
            key.client.pack(),
            flow.link.pack(),
            key.label or 0,
        )

    def remove(self, flow: RemoveFlow, now: Instant) -> None:
        """Forward it no longer; a label that is not installed is ignored."""
        self._now = now
        self._fresh.forget(flow.label)
        self._command(self._lib.FP_REMOVE, label=flow.label)

    def raise_flow(self, flow: RaiseFlow) -> None:
        """Hand up what comes from its client, until it is installed again."""
        self._fresh.forget(flow.label)
        self._command(self._lib.FP_RAISE, label=flow.label)

    def raise_flows(self, flows: RaiseFlows) -> None:
        """The same for every flow that leads to that link address."""
        self._fresh.clear()
        self._command(self._lib.FP_RAISE_PEER, peer=flows.link.pack())

    def remove_route(self, route: RemoveRoute, now: Instant) -> None:
        """Forward no flow of this route any longer."""
        self._now = now
        self._fresh.clear()
        self._command(self._lib.FP_REMOVE_ROUTE, route=route.route)

    def look(self, start: int, now: Instant) -> tuple[list[FlowSeen], int]:
        """Some installed flows, and where to go on."""
        return self._table.look(start, time.monotonic() if self._started else now)

    def find(self, client: Endpoint, now: Instant) -> list[FlowSeen]:
        """The installed flows of a client."""
        return self._table.find(client, time.monotonic() if self._started else now)

    def sweep(self, now: Instant) -> None:
        """The thread sweeps; here only commands go that found the ring full."""
        while self._backlog:
            if not self._push(self._backlog[0]):
                self._backlog.popleft()
            elif self._threaded:
                return
            else:
                self._round(self._lib.FP_RECEIVED, 0, now)
        if not self._threaded:
            self._round(self._lib.FP_RECEIVED, 0, now)

    def _round(self, counter: int, ready: int, now: Instant) -> int:
        before, self._now = self._number(counter), now
        # Once the thread has run, the table's time is the thread's, and trio's clock is another one.
        self._lib.fp_pump(self._fp, 0 if self._started else int(now * 1000), ready)
        return self._number(counter) - before

    def _number(self, which: int) -> int:
        if not self._closed:
            self._lib.fp_counters(self._fp, self._numbers)
        return int(self._numbers[which])

    def _nothing(self, now: Instant) -> None:
        """The events are where they are: `next_event` takes them."""

    def _command(
        self,
        kind: int,
        label: int = 0,
        route: Route = _NO_ROUTE,
        port: int = 0,
        client: bytes = b"",
        peer: bytes = b"",
        far: int = 0,
    ) -> None:
        command = _COMMAND.pack(kind, label, far, *route, port, client, peer)
        if self._backlog or self._push(command):
            self._backlog.append(command)
        if not self._threaded:
            self._round(self._lib.FP_RECEIVED, 0, self._now)

    def _push(self, command: bytes) -> bool:
        """True if the ring has no room."""
        pointer = self._ffi.cast("fp_command *", self._ffi.from_buffer(command))
        return bool(self._lib.fp_command_push(self._fp, pointer))

    def _take(self) -> None:
        end = self._lib.fp_take(self._fp, self._buffer, _TAKE)
        view, at = self._view, 0
        while at < end:
            (
                size,
                label,
                far,
                length,
                cluster,
                transceiver,
                epoch,
                port,
                kind,
                known,
                type_,
                flags,
                sender,
                other,
            ) = _UPCALL.unpack_from(view, at)
            payload = bytes(view[at + _UPCALL.size : at + _UPCALL.size + length])
            at += size
            if kind == self._lib.FP_UPCALL_EXPIRED:
                self._fresh.forget(label)
                self._events.append(FlowExpired(label))
            elif kind == self._lib.FP_UPCALL_RECORD:
                key = self._key(other, port, far) if known else None
                peer = Endpoint.unpack(sender)
                self._events.append(
                    LinkRecord(peer, _RECORD_TYPES[type_], flags, label, payload, key)
                )
            else:
                route = _route((cluster, transceiver, epoch))
                flow = KnownFlow(label, route, self._peer(other)) if known else None
                if port == self._ingress:
                    key = self._key(sender, port, far)
                    self._events.append(IngressRecord(key, _RECORD_TYPES[type_], payload, flow))
                    continue
                sibling = None if known else self._sibling_route(sender, port, payload)
                self._events.append(Upcall(self._key(sender, port), payload, flow, sibling))

    def _sibling_route(self, client: bytes, port: int, datagram: bytes) -> Route | None:
        """Where a sibling's flow of that client leads; STUN speaks for itself."""
        if not self._has_siblings or KINDS[datagram[0]] is Kind.STUN:
            return None
        self._client[0:18] = client
        found = self._lib.fp_ask_siblings(self._fp, self._client, port, self._route)
        return _route(self._route) if found else None

    def _slots(self, max_flows: int, recovered: int) -> SlotMemory:
        """The kept memory that is Python's to write, and the labels that an earlier process left."""
        ffi, lib = self._ffi, self._lib
        labels = array("I", bytes(4 * recovered))
        lib.fp_labels(self._fp, ffi.cast("uint32_t *", ffi.from_buffer(labels)))
        generations = memoryview(ffi.buffer(lib.fp_generations(self._fp), max_flows))
        used = memoryview(ffi.buffer(lib.fp_used(self._fp), 4)).cast("I")
        self._kept = generations, used
        return SlotMemory(generations, used, labels)

    def _ways(self) -> list[tuple[Route, Endpoint]]:
        found = self._ffi.new("fp_way[]", _MAX_WAYS)
        return [
            (
                _route(way.route),
                Endpoint.unpack(bytes(self._ffi.buffer(self._ffi.addressof(way.peer)))),
            )
            for way in found[0 : self._lib.fp_ways(self._fp, found, _MAX_WAYS)]
        ]

    def _peer(self, packed: bytes) -> Endpoint:
        peer = self._peers.get(packed)
        if peer is None:
            if len(self._peers) >= _MAX_WAYS:
                self._peers.clear()
            peer = self._peers[packed] = Endpoint.unpack(packed)
        return peer

    def _key(self, client: bytes, port: int, far: int = 0) -> FlowKey:
        label = far if port == self._ingress else None
        return FlowKey(Transport.UDP, Endpoint.unpack(client), self._locals[port], label)


def _route(numbers: Sequence[int]) -> Route:
    cluster, transceiver, epoch = numbers
    return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))


def _by_reason(reasons: Sequence[DropReason], numbers: Any, first: int) -> Counter[DropReason]:
    return Counter({r: numbers[first + i] for i, r in enumerate(reasons) if numbers[first + i]})
