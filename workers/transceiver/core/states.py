"""The life of a session.

    WAITING --first verified check--> CHECKING --DTLS done, fingerprint right--> CONNECTED
       |                                  |                                          |
       +------------- time-out, hang-up, failure, lost consent, drain ---------------+--> CLOSED

WAITING has answered an offer and knows nothing of the client's address. CHECKING has a path whose
checks pass MESSAGE-INTEGRITY, and runs the DTLS handshake on it. CONNECTED has SRTP keys from a
handshake whose certificate matches the SDP. CLOSED is final: a session is never reopened.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class SessionState(Enum):
    """Where a session stands."""

    WAITING = "waiting"
    CHECKING = "checking"
    CONNECTED = "connected"
    CLOSED = "closed"


TRANSITIONS: Final[dict[SessionState, frozenset[SessionState]]] = {
    SessionState.WAITING: frozenset({SessionState.CHECKING, SessionState.CLOSED}),
    SessionState.CHECKING: frozenset({SessionState.CONNECTED, SessionState.CLOSED}),
    SessionState.CONNECTED: frozenset({SessionState.CLOSED}),
    SessionState.CLOSED: frozenset(),
}
