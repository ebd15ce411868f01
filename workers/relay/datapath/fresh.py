"""The flows that were installed last: what was read before the install, and seen after it, meets them.

A datapath in a thread of its own reads on while the core decides. A client's second datagram then comes up
as a stranger's although its flow is there by now, and so does the second record of its session. Were they
taken for what they look like, a flow that a relay recovers would be recovered again and again, each time
under another label, and what is on its way under the last one would be lost.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from config.ids import Endpoint, FlowKey
from workers.relay.core.interface import (
    IngressRecord,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    Upcall,
)

MOST: Final = 4096
"""A changed steering moves many clients at once; the oldest go first."""


class _Fresh(NamedTuple):
    link: Endpoint
    key: FlowKey
    flow: KnownFlow


class FreshFlows:
    """By label and by key; a key's last install counts."""

    def __init__(self) -> None:
        self._by_label: dict[int, _Fresh] = {}
        self._by_key: dict[FlowKey, _Fresh] = {}

    def install(self, flow: InstallFlow) -> None:
        """One more."""
        fresh = _Fresh(flow.link, flow.key, KnownFlow(flow.label, flow.route, flow.link))
        self.forget(flow.label)
        self._by_label[flow.label] = self._by_key[flow.key] = fresh
        if len(self._by_label) > MOST:
            self.forget(next(iter(self._by_label)))

    def forget(self, label: int) -> None:
        """It has left the table."""
        fresh = self._by_label.pop(label, None)
        if fresh is not None and self._by_key.get(fresh.key) is fresh:
            del self._by_key[fresh.key]

    def clear(self) -> None:
        """Some have left the table, and who knows which."""
        self._by_label.clear()
        self._by_key.clear()

    def meet_record(self, record: LinkRecord) -> LinkRecord:
        """With the flow of its label, if it had none and that one is its sender's."""
        fresh = self._by_label.get(record.label) if record.flow is None else None
        if fresh is None or fresh.link != record.peer:
            return record
        return msgspec.structs.replace(record, flow=fresh.key)

    def meet_upcall(self, upcall: Upcall | IngressRecord) -> Upcall | IngressRecord:
        """With the flow of its key, if it had none."""
        fresh = self._by_key.get(upcall.key) if upcall.flow is None else None
        return upcall if fresh is None else msgspec.structs.replace(upcall, flow=fresh.flow)
