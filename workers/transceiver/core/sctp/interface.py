"""All that enters and leaves an SCTP association; nothing else does."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

import msgspec

from workers.wire.types import DropReason

SCTP_PORT: Final = 5000
MAX_MESSAGE: Final = 262_144
"""Bytes of a message that we accept unless told otherwise (`a=max-message-size` of our SDP)."""
WINDOW: Final = 1_048_576
"""Of data out of order, or of messages not whole, this many bytes are kept."""
IN_FLIGHT: Final = 262_144
"""Bytes that may be on their way at once, either way, however fast the path seems.

It is what the queues at both ends hold: a session's share of records in the media plane, the socket buffer
of a browser. More would be lost there in bursts, and voice on the same path would wait behind it. With a
round trip of 100 ms it still is 2.6 MB a second.
"""
DEFAULT_PEER_MESSAGE: Final = 65_536
"""What a peer accepts that does not say (RFC 8841, 6.1)."""


class Parameters(msgspec.Struct, frozen=True):
    """Everything an association is born with. Sizes in bytes."""

    even: bool
    """Our channels have even ids: we are the DTLS client (RFC 8832, 6)."""
    initiate: bool = True
    """Send an INIT; both ends may."""
    local_port: int = SCTP_PORT
    remote_port: int = SCTP_PORT
    max_packet: int = 1160
    """Multiple of 4: fits a DTLS record of 37 bytes more into 1200."""
    window: int = WINDOW
    send_buffer: int = 4_194_304
    """Of messages not yet acknowledged, this much is kept: some times `window` and `max_message`, since
    what comes is refused when three quarters are taken, or would be by answers to what waits."""
    max_message: int = MAX_MESSAGE
    """The largest message that is accepted."""
    peer_max_message: int = DEFAULT_PEER_MESSAGE
    """The largest message that the peer accepts; 0 if it sets no limit."""
    max_channels: int = 64
    our_init: bytes = b""
    """SNAP: the INIT chunk that the peer has read in our SDP."""
    their_init: bytes = b""
    """SNAP: theirs, checked by `parse_sctp_init`. With both, the association stands from the start."""


# --- events ---------------------------------------------------------------------------------------


class PacketReceived(msgspec.Struct, frozen=True, gc=False):
    """One SCTP packet from the peer, decrypted."""

    packet: bytes


class OpenChannel(msgspec.Struct, frozen=True):
    """Open a data channel; possible before the association stands."""

    label: str
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_lifetime: float | None = None
    """Seconds; of this and `max_retransmits` at most one."""


class SendMessage(msgspec.Struct, frozen=True, gc=False):
    """Send one message; `payload` is UTF-8 if it is a text."""

    channel: int
    payload: bytes
    text: bool = False


class CloseChannel(msgspec.Struct, frozen=True):
    """Close a channel when what was sent on it has arrived."""

    channel: int


class Shutdown(msgspec.Struct, frozen=True):
    """End it gracefully: what was sent still arrives."""


class Abort(msgspec.Struct, frozen=True):
    """End it now, telling the peer."""


AssociationEvent: TypeAlias = (
    PacketReceived | OpenChannel | SendMessage | CloseChannel | Shutdown | Abort
)

# --- outputs --------------------------------------------------------------------------------------


class CloseCause(Enum):
    """Why an association is no more."""

    SHUTDOWN = "shutdown"
    ABORTED = "aborted"
    """By us, on request."""
    PEER_ABORTED = "peer_aborted"
    PEER_LOST = "peer_lost"
    """Nothing was acknowledged, however often it was sent."""
    PROTOCOL_VIOLATION = "protocol_violation"
    MESSAGE_TOO_BIG = "message_too_big"


class SendPacket(msgspec.Struct, frozen=True, gc=False):
    """Encrypt and send one packet of at most `max_packet` bytes."""

    packet: bytes


class ChannelOpened(msgspec.Struct, frozen=True):
    """Messages can be sent on this channel from now on."""

    channel: int
    label: str
    protocol: str
    ordered: bool
    by_peer: bool


class MessageReceived(msgspec.Struct, frozen=True, gc=False):
    """One whole message. That a text is UTF-8 is the peer's word."""

    channel: int
    payload: bytes
    text: bool


class ChannelClosed(msgspec.Struct, frozen=True):
    """The channel is no more; its id may come again."""

    channel: int


class AssociationClosed(msgspec.Struct, frozen=True):
    """The last output, behind a ChannelClosed for each channel."""

    cause: CloseCause


class Dropped(msgspec.Struct, frozen=True):
    """The event, or a chunk of it, ended here."""

    reason: DropReason


AssociationOutput: TypeAlias = (
    SendPacket | ChannelOpened | MessageReceived | ChannelClosed | AssociationClosed | Dropped
)
