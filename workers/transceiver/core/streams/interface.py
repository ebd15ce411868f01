"""Audio as values, and all that enters and leaves a media plane (media/base.py says what one does).

A *stream* is one session's audio, both ways. Sessions decide, the plane carries out: they talk about
it in these words only.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from config.ids import Endpoint, Instant
from workers.transceiver.core.srtp import SrtpKeys

# --- values ---------------------------------------------------------------------------------------

Stream: TypeAlias = int
"""A small number, unique among the streams that live; `Sessions` gives it out and uses it anew."""


class LinkLabel(NamedTuple):
    """A label is unique per relay link address."""

    relay: Endpoint
    label: int


class Codec(msgspec.Struct, frozen=True):
    """One negotiated RTP payload format."""

    name: str
    """Encoding name in lower case: `opus`, `pcmu`, `pcma`, `telephone-event`."""
    payload_type: int
    clock_rate: int
    channels: int = 1
    parameters: str = ""
    """The `fmtp` value."""


class AudioParameters(msgspec.Struct, frozen=True):
    """What was agreed for the one audio section; codecs in order of preference, the first is sent.

    Keys of a telephone (`telephone-event`) come last.
    """

    mid: str
    codecs: tuple[Codec, ...]
    sends: bool
    """We may send (their direction allows it)."""
    receives: bool
    packet_time: int = 20
    """Milliseconds that our packets should play."""


class SendAudio(msgspec.Struct, frozen=True, gc=False):
    """Send one frame now. The stream owns SSRC and sequence numbers."""

    payload: bytes
    timestamp: int
    """In the codec's clock; wraps at 2**32."""
    payload_type: int
    marker: bool = False


class AudioReceived(msgspec.Struct, frozen=True, gc=False):
    """One authenticated RTP packet of a negotiated codec, in order of arrival."""

    payload: bytes
    payload_type: int
    sequence: int
    timestamp: int
    marker: bool
    ssrc: int


class StreamStats(NamedTuple):
    """One stream as it stands now: RFC 3550, 6.4.1, A.1, A.3 and A.8. Times are instants or seconds."""

    packets_in: int = 0
    """Authenticated RTP packets of receivable payload types."""
    octets_in: int = 0
    """Their payloads."""
    expected: int = 0
    """Packets that the peer has sent, by its sequence numbers; through changes of SSRC."""
    lost: int = 0
    """Of them, missing now."""
    jitter: float = 0.0
    source: int = 0
    """The peer's SSRC of the last packet; 0 before any."""
    highest: int = 0
    """Extended highest sequence number of that source."""
    payload_type: int = -1
    """Of the last packet; -1 before any."""
    received_at: Instant = 0.0
    """When the last packet came."""
    packets_out: int = 0
    octets_out: int = 0
    timestamp_out: int = 0
    """RTP timestamp of the last packet that left."""
    sent_at: Instant = 0.0
    """When it left."""
    reports_in: int = 0
    """Authenticated RTCP packets."""
    payload_type_out: int = -1
    """Of the last packet that left; -1 before any. Sender reports count in its clock."""


# --- what a plane tells, besides records that are not media ---------------------------------------


class FrameReceived(NamedTuple):
    """One frame of a stream that is not forwarded."""

    stream: Stream
    audio: AudioReceived
    at: Instant
    """When its batch was read."""


class ReportReceived(NamedTuple):
    """One authenticated, decrypted RTCP packet, not parsed."""

    stream: Stream
    packet: bytes
    at: Instant


class MediaSeen(NamedTuple):
    """Authenticated media came by that label."""

    stream: Stream
    by: LinkLabel
    at: Instant
    way_at: Instant = 0.0
    """When it last came by the label that is the stream's way; 0 before it has."""


class StreamClosed(NamedTuple):
    """The last event of a stream: its number may be used anew."""

    stream: Stream


StreamEvent: TypeAlias = FrameReceived | ReportReceived | MediaSeen | StreamClosed


class RelaysChanged(NamedTuple):
    """These are the relays from now on, by link address. The shell tells plane and sessions alike."""

    relays: frozenset[Endpoint]


# --- what a plane is told, besides records to send: one for each of its methods --------------------


class OpenStream(NamedTuple):
    """Receive and send with these keys."""

    stream: Stream
    keys: SrtpKeys
    audio: AudioParameters
    ssrc: int
    sequence: int
    """The first that we send."""


class CloseStream(NamedTuple):
    """Forget it; `StreamClosed` follows."""

    stream: Stream


class BindLabel(NamedTuple):
    """That label's media is this stream's from now on."""

    at: LinkLabel
    stream: Stream


class UnbindLabel(NamedTuple):
    """That label's records go up again."""

    at: LinkLabel


class SetWay(NamedTuple):
    """Where the stream's media is sent; None: nowhere."""

    stream: Stream
    way: LinkLabel | None


class ForwardStream(NamedTuple):
    """What comes on `stream` leaves on `target`; None: it goes up."""

    stream: Stream
    target: Stream | None


class SendFrame(NamedTuple):
    """Send one frame."""

    stream: Stream
    frame: SendAudio


class SendStreamReport(NamedTuple):
    """Encrypt and send one compound RTCP packet."""

    stream: Stream
    packet: bytes


class ReceiveMedia(NamedTuple):
    """Treat a datagram as if a DATA record with that label had brought it."""

    at: LinkLabel
    datagram: bytes
    takes_way: bool = False
    """If it is authentic, its stream is sent by that label from now on."""


StreamCommand: TypeAlias = (
    SendFrame
    | OpenStream
    | CloseStream
    | BindLabel
    | UnbindLabel
    | SetWay
    | ForwardStream
    | SendStreamReport
    | ReceiveMedia
)
