"""All that enters and leaves a session, and the table of sessions; nothing else does.

Two cores, one inside the other:

* `Session` is one client's ICE + DTLS life. It makes keys and chooses paths for media, which it does not
  carry. It knows datagrams on paths, not the link, so that the transceiver (controlled, behind relays)
  and the caller (controlling, on a socket of its own) both stand on it.
* `Sessions` is all sessions of a transceiver. It knows the link: records, labels and bindings; and it
  tells a media plane what to carry where (streams/interface.py).

`Standalone` is a `Session` that does carry its media: what the caller is, and a plane for one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import msgspec

from config.ids import Endpoint, Instant, SessionId
from ipc.backend.messages import ClientHints
from ipc.messages.sessions import CloseReason, Problem
from workers.transceiver.core.sctp.interface import (
    ChannelClosed,
    ChannelOpened,
    CloseChannel,
    MessageReceived,
    OpenChannel,
    SendMessage,
)
from workers.transceiver.core.srtp import SrtpKeys
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import AudioParameters as AudioParameters
from workers.transceiver.core.streams.interface import AudioReceived as AudioReceived
from workers.transceiver.core.streams.interface import Codec as Codec
from workers.transceiver.core.streams.interface import RelaysChanged as RelaysChanged
from workers.transceiver.core.streams.interface import SendAudio as SendAudio
from workers.transceiver.core.streams.interface import StreamCommand, StreamEvent, StreamStats
from workers.transceiver.core.values import DataParameters as DataParameters
from workers.transceiver.core.values import DtlsRole as DtlsRole
from workers.transceiver.core.values import Fingerprint as Fingerprint
from workers.transceiver.core.values import IceCredentials as IceCredentials
from workers.transceiver.core.values import IceRole as IceRole
from workers.transceiver.core.values import Path as Path
from workers.transceiver.core.values import SessionParameters as SessionParameters
from workers.wire.link import RecordType
from workers.wire.types import DropReason

# --- a session's events ---------------------------------------------------------------------------


class DatagramReceived(msgspec.Struct, frozen=True, gc=False):
    """Bytes of one UDP payload that came on a path."""

    path: Path
    datagram: memoryview | bytes


class MediaArrived(msgspec.Struct, frozen=True, gc=False):
    """Authenticated media came on a path: the first since it was bound, or not on the selected one."""

    path: Path
    selected_at: Instant = 0.0
    """When media last came on the selected path; 0 before it has."""


class ReportArrived(msgspec.Struct, frozen=True, gc=False):
    """An authenticated, decrypted RTCP packet, not parsed."""

    packet: bytes
    at: Instant
    """When it came; it may have waited since."""


class MediaMeasured(msgspec.Struct, frozen=True, gc=False):
    """What `MeasureMedia` asked for, at once."""

    stats: StreamStats


class CloseSession(msgspec.Struct, frozen=True):
    """End it, telling the peer (DTLS close_notify) if connected."""

    reason: CloseReason
    detail: str = ""


class RestartIce(msgspec.Struct, frozen=True):
    """Begin an ICE restart (RFC 8445, 9). The old credentials stay good until it has a pair."""

    local: IceCredentials
    remote: IceCredentials


class NetworkChanged(msgspec.Struct, frozen=True):
    """Our address is another one, perhaps: check the path at once. Of use to the controlling side only."""


ChannelEvent: TypeAlias = OpenChannel | SendMessage | CloseChannel
"""Of data channels; possible once the session is CONNECTED."""

SessionEvent: TypeAlias = (
    DatagramReceived
    | MediaArrived
    | ReportArrived
    | MediaMeasured
    | CloseSession
    | RestartIce
    | NetworkChanged
    | ChannelEvent
)

# --- a session's outputs --------------------------------------------------------------------------


class SendDatagram(msgspec.Struct, frozen=True, gc=False):
    """Send these bytes on that path."""

    path: Path
    datagram: bytes
    assured: bool = False
    """It answers a check that passed MESSAGE-INTEGRITY: the relay may install the flow."""
    proven: bool = False
    """The path is proven: the flow may replace another session's."""


class OpenMedia(msgspec.Struct, frozen=True):
    """There are keys: from now on media may flow, on paths that are proven. Once a session."""

    keys: SrtpKeys
    audio: AudioParameters
    ssrc: int
    """We send with it."""
    sequence: int
    """The first that we send."""


class SendReport(msgspec.Struct, frozen=True, gc=False):
    """Encrypt and send one compound RTCP packet the way that media goes."""

    packet: bytes


class MeasureMedia(msgspec.Struct, frozen=True):
    """Answer with `MediaMeasured` before anything else."""


class StateChanged(msgspec.Struct, frozen=True):
    """The session entered this state."""

    state: SessionState


class PathSelected(msgspec.Struct, frozen=True):
    """Media goes this way from now on."""

    path: Path


class LossReported(msgspec.Struct, frozen=True):
    """The peer says how much it missed of our audio since its report before (RFC 3550, 6.4.1)."""

    share: float
    """0 to 1."""


class MediaFared(msgspec.Struct, frozen=True):
    """How the session's audio fares, at each report of ours."""

    round_trip: float | None
    jitter: float
    """Of what the peer sends, seconds, like the round trip."""
    lost_in: int
    lost_out: int
    """Packets in all."""


class LimitNear(msgspec.Struct, frozen=True):
    """A limit will end the session in so many seconds."""

    limit: CloseReason
    seconds: float


class CredentialsRetired(msgspec.Struct, frozen=True):
    """An ICE restart has a pair, or another one took its place: this ufrag of ours is dead."""

    ufrag: str


class Fared(NamedTuple):
    """How a session's audio has fared, in all."""

    media: StreamStats
    lost_out: int | None
    """Packets of ours that never came, as the peer reports; None before it has."""


class SessionClosed(msgspec.Struct, frozen=True):
    """The last output of a session."""

    reason: CloseReason
    detail: str = ""
    fared: Fared | None = None
    """Said by the table of sessions, which knows; None if there were no keys for audio."""


class Dropped(msgspec.Struct, frozen=True):
    """The event ended here."""

    reason: DropReason


class Unsent(msgspec.Struct, frozen=True):
    """A `SendMessage`, or an `OpenChannel`, came to nothing; a `Dropped` beside it counts it."""

    channel: int | None
    """None: it was to be opened."""
    reason: DropReason


ChannelOutput: TypeAlias = ChannelOpened | MessageReceived | ChannelClosed | Unsent

SessionOutput: TypeAlias = (
    SendDatagram
    | OpenMedia
    | SendReport
    | MeasureMedia
    | LossReported
    | MediaFared
    | LimitNear
    | StateChanged
    | PathSelected
    | CredentialsRetired
    | ChannelOutput
    | SessionClosed
    | Dropped
)

# --- a session that carries its media itself ------------------------------------------------------

StandaloneEvent: TypeAlias = SessionEvent | SendAudio
StandaloneOutput: TypeAlias = (
    SendDatagram
    | AudioReceived
    | LossReported
    | MediaFared
    | LimitNear
    | StateChanged
    | PathSelected
    | CredentialsRetired
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
    max_duration: float | None = None
    """None for what all sessions of this transceiver have."""
    idle_timeout: float | None = None
    claims: dict[str, Any] = {}
    client: ClientHints = ClientHints()
    advertise: tuple[Endpoint, ...] = ()
    """Relay addresses for the answer; none for what all sessions of this transceiver have."""


class PatchIce(msgspec.Struct, frozen=True):
    """Act on a client's SDP fragment; the result is IcePatched or Refused with the same ticket."""

    ticket: int
    session: SessionId
    fragment: str
    expected: tuple[str, ...] = ()
    """Tags of which one must be that of the session's ICE credentials; none asks for an ICE restart."""


class ForwardAudio(msgspec.Struct, frozen=True):
    """What this session's peer says goes to that session's peer from now on, or to its own: an echo.

    None, or a target that is gone: to the back end again. Possible once both are CONNECTED; asked for
    earlier, it begins then.
    """

    target: SessionId | None


class ForSession(msgspec.Struct, frozen=True, gc=False):
    """An event for one session (from its back end, an operator or signaling)."""

    session: SessionId
    event: SendAudio | ForwardAudio | CloseSession | ChannelEvent


class BackendCrashed(msgspec.Struct, frozen=True):
    """A bug: the back end of this session failed at something the session told it."""

    session: SessionId
    error: Exception


class Drain(msgspec.Struct, frozen=True):
    """Refuse new sessions from now on; those that live go on."""


class CloseAll(msgspec.Struct, frozen=True):
    """End every session, telling each peer."""

    reason: CloseReason


class MediaTook(msgspec.Struct, frozen=True):
    """How much of the thread's time media has taken since the last one of these."""

    seconds: float


SessionsEvent: TypeAlias = (
    RecordReceived
    | StreamEvent
    | RelaysChanged
    | Create
    | PatchIce
    | ForSession
    | BackendCrashed
    | Drain
    | CloseAll
    | MediaTook
)

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
    tag: str = ""
    """Of its ICE credentials (entity tag of WHIP, RFC 9725, 4.3.1)."""
    audio: AudioParameters | None = None
    """What was agreed with the client, for the back end."""
    data: bool = False
    """Data channels were agreed."""
    claims: dict[str, Any] = {}
    """Of the client's token and its `session` JSON, for the back end."""
    client: ClientHints = ClientHints()


class IcePatched(msgspec.Struct, frozen=True):
    """The fragment was heeded; `fragment` is for the client, empty unless ICE restarts."""

    ticket: int
    session: SessionId
    tag: str
    fragment: str = ""


class Refused(msgspec.Struct, frozen=True):
    """No session, or no change to one."""

    ticket: int
    problem: Problem
    detail: str


class FromSession(msgspec.Struct, frozen=True, gc=False):
    """Something a session's back end or the event log wants to know."""

    session: SessionId
    output: (
        AudioReceived
        | LossReported
        | MediaFared
        | LimitNear
        | StateChanged
        | PathSelected
        | ChannelOutput
        | SessionClosed
    )


class Crashed(msgspec.Struct, frozen=True):
    """A bug: this session was closed with INTERNAL_ERROR; the shell logs the traceback."""

    session: SessionId
    error: Exception


SessionsOutput: TypeAlias = (
    SendRecord | StreamCommand | Created | IcePatched | Refused | FromSession | Crashed | Dropped
)
