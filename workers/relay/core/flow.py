"""The life of a flow, as its slot sees it.

A flow is one client endpoint talking to one transceiver through one of our addresses. It lives in a
slot of the flow table, and the slot goes round this circle:

    FREE      nothing of it is on the link. The next flow may take it.
    PENDING   a stranger's check named a live route. The transceiver has been told (INTRO) and may
              answer; nothing else passes, and only three times the bytes that came in go out, since
              the source may be spoofed. Pending flows are few and die soon unless checks go on.
              A flow that a sibling's table knows begins here too, with its media for a check.
    ASSURED   the transceiver has verified a check and said so. The flow is in the datapath, and only
              there: the core knows no more than that the slot is taken.
    RESTING   the flow has ended, but records with its label may still be under way. No flow gets the
              slot for a while, and the next one gets it with another generation, so that one
              client's media can never reach another.

Every transition is in the table below; there is no other.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

from config.ids import Endpoint, FlowKey, Instant, Route


class FlowState(IntEnum):
    """State of a slot; small ints, because a table holds one byte per slot."""

    FREE = 0
    PENDING = 1
    ASSURED = 2
    RESTING = 3


class FlowStep(Enum):
    """What can happen to a slot."""

    RESERVE = "reserve"
    """A stranger's check named a live route."""
    ASSURE = "assure"
    """The owner vouched for the flow."""
    END = "end"
    """Silence, FORGET, UNKNOWN, a removed route, or another flow in its place."""
    REST_OVER = "rest over"
    """No record of the old flow can be under way any more."""


TRANSITIONS: Final = {
    (FlowState.FREE, FlowStep.RESERVE): FlowState.PENDING,
    (FlowState.PENDING, FlowStep.ASSURE): FlowState.ASSURED,
    (FlowState.PENDING, FlowStep.END): FlowState.RESTING,
    (FlowState.ASSURED, FlowStep.END): FlowState.RESTING,
    (FlowState.RESTING, FlowStep.REST_OVER): FlowState.FREE,
}

AMPLIFICATION: Final = 3
"""Bytes that may go out to an address nobody has vouched for, per byte that came in."""


class PendingFlow:
    """A flow that waits for its transceiver's word. The only mutable value of the relay core."""

    __slots__ = (
        "behind",
        "expires",
        "key",
        "label",
        "link",
        "received",
        "recovered",
        "returned",
        "rival",
        "route",
        "ufrag",
    )

    def __init__(
        self, key: FlowKey, label: int, route: Route, ufrag: str, expires: Instant
    ) -> None:
        self.key = key
        self.label = label
        self.route = route
        self.ufrag = ufrag
        """The one that made it, by which its introductions are limited."""
        self.expires = expires
        self.link: Endpoint | None = None
        """Where it was introduced last, and who may speak of it."""
        self.behind: FlowKey | None = None
        """The client's own flow key, if the flow comes from a Global Relay."""
        self.received = 0
        """Bytes that came from the client."""
        self.returned = 0
        """Bytes that went back to it."""
        self.rival: int | None = None
        """Label of an assured flow of the same key, which only a proven path may replace."""
        self.recovered = False
        """A sibling knows the flow: media go to the transceiver, introduced, until it vouches."""

    def may_return(self, length: int) -> bool:
        """Whether that many bytes more keep within the amplification bound."""
        return self.returned + length <= AMPLIFICATION * self.received
