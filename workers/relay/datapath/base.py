"""What a datapath is: the part of a relay that moves datagrams without understanding them.

The Python one is the specification in code; any other must be indistinguishable from it by events,
bytes and counters. In prose:

**From clients.** A datagram of an installed flow whose first byte says DTLS or SRTP (RFC 7983) becomes
a DATA record with the flow's label and leaves for the flow's transceiver, packed with others of the
same batch; packing never waits. (Reading may: where datagrams are dense, the native datapath looks at
its sockets up to a quarter of a millisecond later, so that several share a wake-up.) Every other
datagram goes up as an event: of installed flows through one bounded ring, of strangers through another.
An empty datagram, one longer than MAX_PAYLOAD, one for which the ring has no room, and one that is not
STUN and whose source has a tombstone end here, counted. An installed flow has at most FLOW_UPCALLS
datagrams in its ring, and at most FLOW_MOST of its datagrams are forwarded in a tenth of a second, so
that no client crowds out another.

**From transceivers.** A DATA record with bytes in it, whose label is installed and which came from the
link address that owns the label, goes to the flow's client from the flow's local address. Flags are for
pending flows and mean nothing here. Every other record goes up as an event through a third ring.

**From Global Relays**, on a port of their own, come records instead of datagrams, and each counts as one.
A DATA record of an installed flow leaves with the flow's own label for its transceiver. With any other
label, and of any other type, it goes up, or ends in a tombstone if it is DATA. The way back is the same in
reverse, packed and with its flags: what a Global Relay does not know yet, it learns from them.

**Events** come one at a time from `next_event`: ended flows first, then records, then installed flows,
then strangers. What an event says of a flow is what the table knows when the event is taken, not when
its datagram came: a client's first datagrams may wait behind the install of their own flow.

**The table** changes only by install and remove. Whatever makes a flow leave it (a removal, a removed
route, silence, another flow with its key), `FlowExpired` follows exactly once. A removal leaves a
tombstone until the client has been silent for TOMBSTONE_SILENCE; an install clears it. The flows of
a removed route go little by little, those that were there when it was removed and no later ones.
A flow may be *raised*, too: then all that comes from its client goes up, until it is installed again,
under the same label, to the same link address or another.

**Survival.** A datapath whose table outlives the process starts with the flows that an earlier one left
and forwards them before anybody has said a word. Of media from a stranger whose flow is in a sibling's
table, the event says so.

**Laws**, true whenever no call is running:
`received == forwarded + upcalled + sum(dropped)` and `records == returned + raised + sum(records_dropped)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from config.ids import Endpoint, FlowKey, Instant, Route
from workers.relay.core.flowtable import SlotMemory
from workers.relay.core.interface import (
    Event,
    InstallFlow,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
)
from workers.relay.datapath.outbox import Outbox
from workers.wire.types import DropReason

UPCALL_RING: Final = 1024
"""Datagrams in each of the two rings of upcalls."""
STRANGERS_MEDIA: Final = UPCALL_RING // 2
"""In the strangers' ring, from so many on checks only: when a host dies, all its clients' media come to the
next one as strangers', and by a check everything heals."""
RECORD_RING: Final = 4096
FLOW_UPCALLS: Final = 8
FLOW_MOST: Final = 500
"""Datagrams of a flow in a tick. Audio is 50 a second; a data channel carries 48 Mbit/s with 5000."""
TICKS: Final = 10
"""A second."""
TOMBSTONE_SILENCE: Final = 30.0

Source = tuple[int, Callable[[Instant], object]]
"""A descriptor to wait for, and what to call when it is readable."""


@dataclass(slots=True)
class DatapathCounters:
    """Plain totals since the start."""

    received: int = 0
    """Datagrams from clients."""
    forwarded: int = 0
    """Of them, sent on to a transceiver."""
    upcalled: int = 0
    """Of them, put into a ring."""
    dropped: Counter[DropReason] = field(default_factory=Counter)
    records: int = 0
    """Records from transceivers; a malformed rest of a link datagram counts as one."""
    returned: int = 0
    """Of them, sent to their client."""
    raised: int = 0
    """Of them, put into the ring of records."""
    records_dropped: Counter[DropReason] = field(default_factory=Counter)

    def conserved(self) -> bool:
        """Whether both laws hold."""
        return (
            self.received == self.forwarded + self.upcalled + self.dropped.total()
            and self.records == self.returned + self.raised + self.records_dropped.total()
        )


class FlowSeen(NamedTuple):
    """An installed flow, for who looks at the table."""

    key: FlowKey
    label: int
    route: Route
    link: Endpoint
    silence: float
    """Seconds since the client's last datagram."""


class Datapath(Protocol):
    """See the module. No method blocks; every one does a bounded amount of work."""

    outbox: Outbox
    """By it the core sends, through the same sockets."""

    @property
    def memory(self) -> SlotMemory | None:
        """What the core keeps where a successor finds it; None if the table dies with the process."""

    @property
    def inherited(self) -> Sequence[tuple[Route, Endpoint]]:
        """Where the flows that an earlier process left lead: routes and their link addresses."""

    @property
    def counters(self) -> DatapathCounters:
        """Totals so far."""

    @property
    def sources(self) -> Sequence[Source]:
        """What the shell waits for. Each call does a bounded amount of work; then events may wait."""

    @property
    def flows(self) -> int:
        """Installed flows."""

    @property
    def waiting(self) -> int:
        """Events that `next_event` has in store."""

    def add_sibling(self, table: int) -> None:
        """Ask this memory of another relay, too, from now on. The descriptor stays with its owner."""

    def pump_public(self, index: int, budget: int, now: Instant) -> int:
        """Read up to `budget` datagrams from a public socket and forward them. How many were read."""

    def pump_link(self, budget: int) -> int:
        """Read link datagrams until `budget` records have come. How many records were read."""

    def next_event(self) -> Event | None:
        """The next thing for the core to decide."""

    def look(self, start: int, now: Instant) -> tuple[list[FlowSeen], int]:
        """Some installed flows, and where to go on; 0 at first and after the last.

        For operators: bounded, and beside the forwarding. What changes between two looks may be missed.
        """

    def find(self, client: Endpoint, now: Instant) -> list[FlowSeen]:
        """The installed flows of a client, at most one a public socket."""

    def install(self, flow: InstallFlow, now: Instant) -> None:
        """Forward this flow from now on, in place of any other of its key."""

    def remove(self, flow: RemoveFlow, now: Instant) -> None:
        """Forward it no longer; a label that is not installed is ignored."""

    def raise_flow(self, flow: RaiseFlow) -> None:
        """Hand up all that comes from its client, until it is installed again."""

    def raise_flows(self, flows: RaiseFlows) -> None:
        """The same for every flow that leads to that link address: some at once, the rest soon."""

    def remove_route(self, route: RemoveRoute, now: Instant) -> None:
        """Let all flows go that this route has now: some at once, the rest with the turns that follow."""

    def sweep(self, now: Instant) -> None:
        """Look at a part of the table for flows and tombstones whose clients have gone silent."""

    def stop(self) -> None:
        """Read no socket any more. Events wait until taken; what the core says of them is still done."""
