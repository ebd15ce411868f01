"""What operators ask a relay: which flows it has, where a ufrag leads. Never in the way of packets.

A request costs the shell's loop some hundred microseconds a turn, like a few upcalls, and lets media and
checks go first between two turns. With the native datapath no packet waits for it at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        self,
        relays: Sequence[tuple[Relay, Datapath]],
        clock: Callable[[], Instant] = trio.current_time,
    ) -> None:
        """`relays`: of UDP, and of TCP if that is served."""
        self._relays = relays
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
        rows: list[FlowSummary] = []
        for core, _ in self._relays:
            rows += core.pending_flows(request.client, limit, self._now())
        if request.client is not None:
            for _, datapath in self._relays:
                rows += map(_assured, datapath.find(request.client, self._now()))
            return FlowList(tuple(rows[:limit]), len(rows))
        for _, datapath in self._relays:
            await self._look(datapath, rows, limit)
        total = sum(datapath.flows + core.pending for core, datapath in self._relays)
        return FlowList(tuple(rows[:limit]), total)

    async def _look(self, datapath: Datapath, rows: list[FlowSummary], limit: int) -> None:
        place = 0
        while len(rows) < limit:
            seen, place = datapath.look(place, self._now())
            rows += map(_assured, seen)
            if not place:
                return
            await trio.lowlevel.checkpoint()

    def _decode(self, ufrag: str) -> UfragDecoded:
        core, _ = self._relays[0]
        try:
            route, link = core.resolve(ufrag)
        except Malformed as malformed:
            return UfragDecoded(malformed.reason.value, malformed.detail)
        return UfragDecoded(route=route, link=link)


def _assured(flow: FlowSeen) -> FlowSummary:
    key = flow.key
    return FlowSummary(
        key.client,
        key.local,
        flow.label,
        flow.route,
        "assured",
        flow.silence,
        flow.link,
        transport=key.transport.name.lower(),
    )
