"""All that enters and leaves a session, and the table of sessions; nothing else does.

Two cores, one inside the other:

* `Session` is one client's ICE + DTLS + SRTP life. It knows datagrams on paths, not the link, so that
  the transceiver (controlled, behind relays) and the caller (controlling, on a socket of its own)
  both stand on it.
* `Sessions` is all sessions of a transceiver. It knows the link: records, labels and bindings.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

import msgspec

from config.ids import Endpoint, SessionId, Transport
from ipc.messages.sessions import CloseReason, Problem
from workers.transceiver.core.sctp.interface import (
    ChannelClosed,
    ChannelOpened,
    CloseChannel,
    MessageReceived,
    OpenChannel,
    SendMessage,
)
from workers.transceiver.core.states import SessionState
from workers.wire.link import RecordType
from workers.wire.types import DropReason

# --- values ---------------------------------------------------------------------------------------


class Path(NamedTuple):
    """A way to the peer: equal, as a tuple, to the relay's flow key of the same flow."""

    transport: Transport
    remote: Endpoint
    local: Endpoint

    def __str__(self) -> str:
        return f"{self.remote}>{self.local}/{self.transport.name.lower()}"


class IceRole(Enum):
    """RFC 8445, 6.1.1. The controlled side answers like a lite agent and verifies like a full one."""

    CONTROLLING = "controlling"
    CONTROLLED = "controlled"


class DtlsRole(Enum):
    """RFC 8842: `active` sends the ClientHello."""

    ACTIVE = "active"
    PASSIVE = "passive"


class IceCredentials(msgspec.Struct, frozen=True):
    """RFC 8839, 5.4."""

    ufrag: str
    password: str


class Fingerprint(msgspec.Struct, frozen=True):
    """RFC 8122: hash function in lower case (`sha-256`) and digest bytes."""

    algorithm: str
    digest: bytes


class Codec(msgspec.Struct, frozen=True):
    """One negotiated RTP payload format."""

    name: str
    """Encoding name in lower case: `opus`, `pcmu`, `pcma`."""
    payload_type: int
    clock_rate: int
    channels: int = 1
    parameters: str = ""
    """The `fmtp` value."""


class AudioParameters(msgspec.Struct, frozen=True):
    """What was agreed for the one audio section; codecs in order of preference, the first is sent."""

    mid: str
    codecs: tuple[Codec, ...]
    sends: bool
    """We may send (their direction allows it)."""
    receives: bool


class DataParameters(msgspec.Struct, frozen=True):
    """What was agreed for the section of data channels (RFC 8841)."""

    mid: str
    remote_port: int
    """SCTP's, not UDP's."""
    peer_max_message: int
    """Bytes; 0 if the peer sets no limit."""


class SessionParameters(msgspec.Struct, frozen=True):
    """Everything a session is born with."""

    ice_role: IceRole
    dtls_role: DtlsRole
    local: IceCredentials
    remote: IceCredentials
    remote_fingerprints: tuple[Fingerprint, ...]
    audio: AudioParameters | None
    remote_endpoints: tuple[Path, ...] = ()
    """Controlling side only: where to send checks."""
    connect_timeout: float = 30.0
    consent_timeout: float = 30.0
    data: DataParameters | None = None


# --- a session's events ---------------------------------------------------------------------------


class DatagramReceived(msgspec.Struct, frozen=True, gc=False):
    """Bytes of one UDP payload that came on a path."""

    path: Path
    datagram: memoryview | bytes


class SendAudio(msgspec.Struct, frozen=True, gc=False):
    """Send one frame now. The session owns SSRC and sequence numbers."""

    payload: bytes
    timestamp: int
    """In the codec's clock; wraps at 2**32."""
    payload_type: int
    marker: bool = False


class CloseSession(msgspec.Struct, frozen=True):
    """End it, telling the peer (DTLS close_notify) if connected."""

    reason: CloseReason


ChannelEvent: TypeAlias = OpenChannel | SendMessage | CloseChannel
"""Of data channels; possible once the session is CONNECTED."""

SessionEvent: TypeAlias = DatagramReceived | SendAudio | CloseSession | ChannelEvent

# --- a session's outputs --------------------------------------------------------------------------


class SendDatagram(msgspec.Struct, frozen=True, gc=False):
    """Send these bytes on that path."""

    path: Path
    datagram: bytes
    assured: bool = False
    """It answers a check that passed MESSAGE-INTEGRITY: the relay may install the flow."""
    proven: bool = False
    """The path is proven: the flow may replace another session's."""


class AudioReceived(msgspec.Struct, frozen=True, gc=False):
    """One authenticated RTP packet of a negotiated codec, in order of arrival."""

    payload: bytes
    payload_type: int
    sequence: int
    timestamp: int
    marker: bool
    ssrc: int


class StateChanged(msgspec.Struct, frozen=True):
    """The session entered this state."""

    state: SessionState


class PathSelected(msgspec.Struct, frozen=True):
    """Media goes this way from now on."""

    path: Path


class SessionClosed(msgspec.Struct, frozen=True):
    """The last output of a session."""

    reason: CloseReason
    detail: str = ""


class Dropped(msgspec.Struct, frozen=True):
    """The event ended here."""

    reason: DropReason


ChannelOutput: TypeAlias = ChannelOpened | MessageReceived | ChannelClosed

SessionOutput: TypeAlias = (
    SendDatagram
    | AudioReceived
    | StateChanged
    | PathSelected
    | ChannelOutput
    | SessionClosed
    | Dropped
)

# --- the table of sessions: events ----------------------------------------------------------------


class RecordReceived(msgspec.Struct, frozen=True, gc=False):
    """A record from a relay's link address."""

    relay: Endpoint
    type: RecordType
    flags: int
    label: int
    payload: memoryview | bytes


class Create(msgspec.Struct, frozen=True):
    """Answer an offer; the result is SessionCreated or SessionRefused with the same ticket."""

    ticket: int
    offer: str
    backend: str


class ForSession(msgspec.Struct, frozen=True, gc=False):
    """An event for one session (from its back end, an operator or signaling)."""

    session: SessionId
    event: SendAudio | CloseSession | ChannelEvent


class BackendCrashed(msgspec.Struct, frozen=True):
    """A bug: the back end of this session failed at something the session told it."""

    session: SessionId
    error: Exception


class Drain(msgspec.Struct, frozen=True):
    """Refuse new sessions from now on; those that live go on."""


class CloseAll(msgspec.Struct, frozen=True):
    """End every session, telling each peer."""

    reason: CloseReason


SessionsEvent: TypeAlias = RecordReceived | Create | ForSession | BackendCrashed | Drain | CloseAll

# --- the table of sessions: outputs ---------------------------------------------------------------


class SendRecord(msgspec.Struct, frozen=True, gc=False):
    """Send one record to a relay's link address."""

    relay: Endpoint
    type: RecordType
    flags: int
    label: int
    payload: bytes


class Created(msgspec.Struct, frozen=True):
    """The session exists; its answer is for the client."""

    ticket: int
    session: SessionId
    answer: str
    backend: str


class Refused(msgspec.Struct, frozen=True):
    """No session."""

    ticket: int
    problem: Problem
    detail: str


class FromSession(msgspec.Struct, frozen=True, gc=False):
    """Something a session's back end or the event log wants to know."""

    session: SessionId
    output: AudioReceived | StateChanged | PathSelected | ChannelOutput | SessionClosed


class Crashed(msgspec.Struct, frozen=True):
    """A bug: this session was closed with INTERNAL_ERROR; the shell logs the traceback."""

    session: SessionId
    error: Exception


SessionsOutput: TypeAlias = SendRecord | Created | Refused | FromSession | Crashed | Dropped
