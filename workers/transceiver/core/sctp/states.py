"""The life of an association (RFC 9260, 4).

    CLOSED --INIT sent--> COOKIE_WAIT --INIT ACK--> COOKIE_ECHOED --COOKIE ACK--> ESTABLISHED
       |                       |                         |
       +-----------------------+-------COOKIE ECHO-------+----------------------> ESTABLISHED

    ESTABLISHED --we want to end--> SHUTDOWN_PENDING --all acknowledged--> SHUTDOWN_SENT
                                                     --SHUTDOWN ACK------> GONE
    ESTABLISHED --SHUTDOWN--> SHUTDOWN_RECEIVED --all acknowledged--> SHUTDOWN_ACK_SENT
                                                --SHUTDOWN COMPLETE-> GONE

Both ends may send an INIT at once: each answers the other's with its own tag and TSN, and whichever
COOKIE ECHO comes first makes the association. An ABORT, ours or theirs, leads from anywhere to GONE,
which is final; a restart inside one DTLS connection is refused.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class AssociationState(Enum):
    """Where an association stands."""

    CLOSED = "closed"
    COOKIE_WAIT = "cookie_wait"
    COOKIE_ECHOED = "cookie_echoed"
    ESTABLISHED = "established"
    SHUTDOWN_PENDING = "shutdown_pending"
    SHUTDOWN_SENT = "shutdown_sent"
    SHUTDOWN_RECEIVED = "shutdown_received"
    SHUTDOWN_ACK_SENT = "shutdown_ack_sent"
    GONE = "gone"


_S: Final = AssociationState
OPENING: Final = frozenset({_S.CLOSED, _S.COOKIE_WAIT, _S.COOKIE_ECHOED})
SENDS: Final = frozenset({_S.ESTABLISHED, _S.SHUTDOWN_PENDING, _S.SHUTDOWN_RECEIVED})
"""DATA may leave."""
RECEIVES: Final = frozenset({_S.ESTABLISHED, _S.SHUTDOWN_PENDING, _S.SHUTDOWN_SENT})
"""DATA may come."""
TRANSITIONS: Final[dict[AssociationState, frozenset[AssociationState]]] = {
    _S.CLOSED: frozenset({_S.COOKIE_WAIT, _S.ESTABLISHED, _S.GONE}),
    _S.COOKIE_WAIT: frozenset({_S.COOKIE_ECHOED, _S.ESTABLISHED, _S.GONE}),
    _S.COOKIE_ECHOED: frozenset({_S.ESTABLISHED, _S.GONE}),
    _S.ESTABLISHED: frozenset({_S.SHUTDOWN_PENDING, _S.SHUTDOWN_RECEIVED, _S.GONE}),
    _S.SHUTDOWN_PENDING: frozenset({_S.SHUTDOWN_SENT, _S.SHUTDOWN_RECEIVED, _S.GONE}),
    _S.SHUTDOWN_SENT: frozenset({_S.SHUTDOWN_ACK_SENT, _S.GONE}),
    _S.SHUTDOWN_RECEIVED: frozenset({_S.SHUTDOWN_ACK_SENT, _S.GONE}),
    _S.SHUTDOWN_ACK_SENT: frozenset({_S.GONE}),
    _S.GONE: frozenset(),
}
