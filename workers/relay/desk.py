"""What operators ask a relay: which flows it has, where a ufrag leads. Never in the way of packets.

A request costs the shell's loop some hundred microseconds a turn, like a few upcalls, and lets media and
checks go first between two turns. With the native datapath no packet waits for it at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from config.ids import Instant
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.flows import DecodeUfrag, FlowList, FlowSummary, ListFlows, UfragDecoded
from workers.relay.core.relay import Relay
from workers.relay.datapath.base import Datapath, FlowSeen
from workers.wire.types import Malformed

MOST_FLOWS: Final = 4000
"""Rows of one reply: what fits into a message."""
AT_ONCE: Final = 8
"""Requests in work."""


class Desk:
    """Answers; changes nothing."""

    def __init__(
        self, core: Relay, datapath: Datapath, clock: Callable[[], Instant] = trio.current_time
    ) -> None:
        self._core = core
        self._datapath = datapath
        self._now = clock

    async def answer(self, request: Message) -> Message:
        """The reply to one request."""
        match request:
            case ListFlows():
                return await self._flows(request)
            case DecodeUfrag(ufrag=ufrag):
                return self._decode(ufrag)
            case _:
                return Failure(f"a relay does not answer {type(request).__name__}")

    async def _flows(self, request: ListFlows) -> FlowList:
        limit = max(0, min(request.limit, MOST_FLOWS))
        pending = self._core.pending_flows(request.client, limit, self._now())
        if request.client is not None:
            found = [_assured(flow) for flow in self._datapath.find(request.client, self._now())]
            rows = [*pending, *found]
            return FlowList(tuple(rows[:limit]), len(rows))
        rows, place = list(pending), 0
        while len(rows) < limit:
            seen, place = self._datapath.look(place, self._now())
            rows += map(_assured, seen)
            if not place:
                break
            await trio.lowlevel.checkpoint()
        return FlowList(tuple(rows[:limit]), self._datapath.flows + self._core.pending)

    def _decode(self, ufrag: str) -> UfragDecoded:
        try:
            route, link = self._core.resolve(ufrag)
        except Malformed as malformed:
            return UfragDecoded(malformed.reason.value, malformed.detail)
        return UfragDecoded(route=route, link=link)


def _assured(flow: FlowSeen) -> FlowSummary:
    key = flow.key
    return FlowSummary(
        key.client, key.local, flow.label, flow.route, "assured", flow.silence, flow.link
    )
