"""Whose a datagram is that comes on a path of several sessions, and names none."""

from __future__ import annotations

from typing import Final

from workers.transceiver.core.entry import Entry
from workers.transceiver.core.interface import Path
from workers.transceiver.core.labels import Labels
from workers.transceiver.core.states import SessionState

# RFC 6347, 4.1: content type u8, version u16, epoch u16, ...
DTLS_HANDSHAKE: Final = 22
DTLS_EPOCH: Final = slice(3, 5)
DTLS_FIRST_EPOCH: Final = b"\x00\x00"


def addressee(
    labels: Labels[Entry], owner: Entry, path: Path, datagram: bytes | memoryview
) -> Entry:
    """Who gets what is not STUN: the owner, except for the handshake of a session after it.

    A client that uses its port anew sends the ClientHello before it answers the check that would
    prove the path. The old session, its handshake done, has no use for it; and a stale flight in
    reply would spoil the new handshake.
    """
    if (
        owner.state is SessionState.CONNECTED
        and len(datagram) > DTLS_EPOCH.stop
        and datagram[0] == DTLS_HANDSHAKE
        and datagram[DTLS_EPOCH] == DTLS_FIRST_EPOCH
    ):
        for sharer in reversed(labels.sharers(path)):
            if sharer.state is SessionState.CHECKING:
                return sharer
    return owner
