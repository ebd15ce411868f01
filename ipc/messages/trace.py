"""Where would this go? What `tandem trace` asks and learns."""

from __future__ import annotations

from enum import StrEnum

from config.ids import Route
from ipc.messages.details import SessionDetail
from ipc.messages.flows import FlowSummary
from ipc.messages.lifecycle import Tagged


class Verdict(StrEnum):
    """What became of it."""

    LIVE = "live"
    """It leads to a session."""
    ENDED = "ended"
    """The session is over, not long ago."""
    NO_SESSION = "no_session"
    """The transceiver is there, and has no such session."""
    UNKNOWN_KEY = "unknown_key"
    FORGED = "forged"
    OTHER_CLUSTER = "other_cluster"
    NO_TRANSCEIVER = "no_transceiver"
    STALE_EPOCH = "stale_epoch"
    """Of an earlier boot of that transceiver."""
    NO_FLOW = "no_flow"
    """No relay has a flow of that client."""
    PENDING = "pending"
    """A relay waits for the transceiver to vouch for the client."""
    NO_ANSWER = "no_answer"
    """Somebody who must know did not answer."""


class TraceRequest(Tagged, frozen=True):
    """A ufrag, a session id, or a client's ADDRESS:PORT; answered with a TraceReply."""

    what: str


class TraceReply(Tagged, frozen=True):
    """As far as it could be followed."""

    what: str
    kind: str
    """`ufrag`, `session` or `client`."""
    verdict: Verdict
    why: str = ""
    """In a sentence; empty if it is live."""
    route: Route | None = None
    worker: str = ""
    """The transceiver."""
    flows: tuple[FlowSummary, ...] = ()
    session: SessionDetail | None = None
