"""Signaling and transceiver: create, list and end sessions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from config.ids import Endpoint, Route, SessionId
from ipc.messages.lifecycle import Tagged


class CloseReason(StrEnum):
    """Why a session ended. Logs, metrics, CLI and back ends use these words."""

    HANGUP = "hangup"
    PEER_CLOSED = "peer_closed"
    CONNECT_TIMEOUT = "connect_timeout"
    CONSENT_EXPIRED = "consent_expired"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    DTLS_FAILED = "dtls_failed"
    DRAINED = "drained"
    BACKEND_ENDED = "backend_ended"
    MAX_DURATION = "max_duration"
    IDLE = "idle"
    INTERNAL_ERROR = "internal_error"

    @classmethod
    def _missing_(cls, value: object) -> CloseReason:
        return cls.INTERNAL_ERROR  # a newer version's: that it ended is what counts


class Problem(StrEnum):
    """Why a session, or a change to one, was refused; signaling makes a problem+json of it."""

    MALFORMED_SDP = "malformed_sdp"
    MALFORMED_FRAGMENT = "malformed_fragment"
    UNUSABLE_FRAGMENT = "unusable_fragment"
    """Well-formed, but not to be done for this session."""
    STALE_ICE = "stale_ice"
    """The fragment is for ICE credentials that are no longer the session's."""
    UNKNOWN_SESSION = "unknown_session"
    NOTHING_IN_COMMON = "nothing_in_common"
    UNKNOWN_BACKEND = "unknown_backend"
    UNFIT_BACKEND = "unfit_backend"
    BACKEND_AWAY = "backend_away"
    """Nobody serves it at the moment."""
    FULL = "full"
    DRAINING = "draining"
    SIDEBANDS = "sidebands"
    """The session has as many as it may have."""
    INTERNAL_ERROR = "internal_error"

    @classmethod
    def _missing_(cls, value: object) -> Problem:
        return cls.INTERNAL_ERROR  # a newer version's: that it was refused is what counts


class CreateSession(Tagged, frozen=True):
    """Answer this offer."""

    offer: str
    backend: str = "echo"
    max_duration: float | None = None
    """Seconds from connected that the session may last; 0 for ever, None as the transceiver's config."""
    idle_timeout: float | None = None
    """Seconds without audio or message in either direction that end it; likewise."""
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of the client's token and its `session` JSON, for the back end."""
    user_agent: str = ""
    origin: str = ""
    advertise: tuple[Endpoint, ...] = ()
    """Relay addresses for the answer, in order of preference; none: the transceiver's own."""


class SessionCreated(Tagged, frozen=True):
    """The session waits for the client's first check."""

    session: SessionId
    answer: str
    ice: str = ""
    """Names its ICE credentials (entity tag of WHIP)."""


class SessionRefused(Tagged, frozen=True):
    """No session, or no change; `detail` names what was wrong (the SDP line, what was offered)."""

    problem: Problem
    detail: str


class PatchSession(Tagged, frozen=True):
    """Act on an SDP fragment of the client: trickle, or an ICE restart (RFC 9725, 4.3)."""

    session: SessionId
    fragment: str
    expected: tuple[str, ...] = ()
    """Names of ICE credentials, of which one must be the session's; none asks for a restart."""


class SessionPatched(Tagged, frozen=True):
    """It was heeded; `fragment` is for the client, empty unless ICE restarts."""

    session: SessionId
    ice: str
    fragment: str = ""


class EndSession(Tagged, frozen=True):
    """End one."""

    session: SessionId
    reason: CloseReason = CloseReason.HANGUP
    detail: str = ""
    """For the log and the back end."""


class SessionEnded(Tagged, frozen=True):
    """It is over."""

    session: SessionId


class SessionUnknown(Tagged, frozen=True):
    """No such session here."""

    session: SessionId
    reason: CloseReason | None = None
    """Why it ended, if it has lately."""


class CountSessions(Tagged, frozen=True):
    """How many sessions there are of that API key."""

    key: str


class SessionCount(Tagged, frozen=True):
    """Reply to CountSessions."""

    count: int


class WatchSessions(Tagged, frozen=True):
    """What has happened to sessions after that number; answered when something has, or in time."""

    after: int = 0
    within: float = 10.0
    """Seconds."""
    route: Route | None = None
    """Whose sessions, where it is not the transceiver itself that is asked."""


class SessionNews(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session is connected, or closed for that reason."""

    session: SessionId
    closed: CloseReason | None = None
    detail: str = ""


class SessionsNews(Tagged, frozen=True):
    """Reply to WatchSessions; `serial` is the number of the last."""

    serial: int
    news: tuple[SessionNews, ...] = ()


class ListSessions(Tagged, frozen=True):
    """Which sessions are there."""

    limit: int = 1000


class SessionSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `tandem sessions`."""

    session: SessionId
    state: str
    age: float
    """Seconds since it was created."""
    path: str
    """The selected path, `client>local/udp`, or empty."""
    codec: str
    packets_in: int
    packets_out: int
    lost: int
    """Packets of the client's stream that never came."""
    jitter_ms: float
    worker: str = ""
    round_trip_ms: float | None = None
    """By its reports; before any, by our last check; None before either."""
    peer_lost: int | None = None
    """Packets of our stream that never came, as the client reports; None before it has."""
    peer_jitter_ms: float | None = None
    """Of our stream at the client."""


class SessionList(Tagged, frozen=True):
    """Reply to ListSessions; `total` may exceed the rows."""

    rows: tuple[SessionSummary, ...]
    total: int
