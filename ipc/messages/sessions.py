"""Signaling and transceiver: create, list and end sessions."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from config.ids import SessionId
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
    INTERNAL_ERROR = "internal_error"


class Problem(StrEnum):
    """Why a session was refused; signaling makes the problem+json `type` and status of it."""

    MALFORMED_SDP = "malformed_sdp"
    NOTHING_IN_COMMON = "nothing_in_common"
    UNKNOWN_BACKEND = "unknown_backend"
    FULL = "full"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"


class CreateSession(Tagged, frozen=True):
    """Answer this offer."""

    offer: str
    backend: str = "echo"


class SessionCreated(Tagged, frozen=True):
    """The session waits for the client's first check."""

    session: SessionId
    answer: str


class SessionRefused(Tagged, frozen=True):
    """No session; `detail` names what was wrong (the SDP line, what was offered) for a human."""

    problem: Problem
    detail: str


class EndSession(Tagged, frozen=True):
    """End one."""

    session: SessionId
    reason: CloseReason = CloseReason.HANGUP


class SessionEnded(Tagged, frozen=True):
    """It is over."""

    session: SessionId


class SessionUnknown(Tagged, frozen=True):
    """No such session here."""

    session: SessionId


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


class SessionList(Tagged, frozen=True):
    """Reply to ListSessions; `total` may exceed the rows."""

    rows: tuple[SessionSummary, ...]
    total: int
