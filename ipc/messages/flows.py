"""What a relay says of its flows, and of the ufrags that lead to them."""

from __future__ import annotations

import msgspec

from config.ids import Endpoint, Route
from ipc.messages.lifecycle import Tagged


class ListFlows(Tagged, frozen=True):
    """Which flows are there; answered with a FlowList."""

    limit: int = 1000
    client: Endpoint | None = None
    """Of this client only, if it is named."""


class FlowsRequest(Tagged, frozen=True):
    """The flows of all relays, or of one; answered with a FlowList."""

    worker: str = ""
    limit: int = 1000


class FlowSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `tandem flows`."""

    client: Endpoint
    local: Endpoint
    """Our address that the client talks to."""
    label: int
    """Slot and generation: `slot << 8 | generation`."""
    route: Route
    state: str
    """`pending` or `assured`."""
    silence: float
    """Seconds since the client's last datagram (pending: since its last check)."""
    link: Endpoint | None = None
    """Of the transceiver; None if the route is not live."""
    worker: str = ""
    transport: str = "udp"
    """Or `tcp`."""


class FlowList(Tagged, frozen=True):
    """Reply to ListFlows; `total` may exceed the rows. What changes meanwhile may be missing."""

    rows: tuple[FlowSummary, ...]
    total: int


class DecodeUfrag(Tagged, frozen=True):
    """Where does this ufrag lead? Answered with UfragDecoded."""

    ufrag: str


class UfragDecoded(Tagged, frozen=True):
    """What the keys of a worker make of a ufrag."""

    problem: str = ""
    """`unknown_key` or `forged_ufrag`; then there is no route."""
    detail: str = ""
    route: Route | None = None
    link: Endpoint | None = None
    """Where a relay would send its checks; None if the route is not live there."""
