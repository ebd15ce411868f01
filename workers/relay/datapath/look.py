"""The table in C, for who looks at it: read while the thread writes, which waits for nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.datapath.base import FlowSeen

SLOTS: Final = 4096
"""Slots of one look."""


class TableLook:
    """Of one datapath, `ports` being its public sockets; the last may be the one for Global Relays."""

    def __init__(
        self, module: Any, fp: Any, ports: Sequence[Endpoint], ingress: int | None
    ) -> None:
        self._ffi, self._lib, self._fp = module.ffi, module.lib, fp
        self._ports = ports
        self._ingress = ingress

    def look(self, start: int, now: float) -> tuple[list[FlowSeen], int]:
        """As the datapath's; `now` by the table's clock."""
        count = self._ffi.new("uint32_t *")
        room = self._ffi.new("fp_flow[]", SLOTS)
        end = self._lib.fp_look(self._fp, start, SLOTS, room, count)
        return [self._seen(room[i], now) for i in range(count[0])], end

    def find(self, client: Endpoint, now: float) -> list[FlowSeen]:
        """Likewise."""
        flow, packed = self._ffi.new("fp_flow *"), client.pack()
        return [
            self._seen(flow, now)
            for port in range(len(self._ports))
            if port != self._ingress and self._lib.fp_find(self._fp, packed, port, flow)
        ]

    def _seen(self, flow: Any, now: float) -> FlowSeen:
        ticks = int(now * 10) - flow.seen & 0xFFFFFFFF
        silence = 0.0 if ticks >> 31 else ticks / 10
        client, peer = (
            Endpoint.unpack(bytes(self._ffi.buffer(self._ffi.addressof(flow, field))))
            for field in ("client", "peer")
        )
        label = flow.far if flow.port == self._ingress else None
        key = FlowKey(Transport.UDP, client, self._ports[flow.port], label)
        cluster, transceiver, epoch = flow.route
        route = Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))
        return FlowSeen(key, flow.label, route, peer, silence)
