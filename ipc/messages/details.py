"""All that a transceiver knows of one session: `tandem sessions show`, `tandem trace`."""

from __future__ import annotations

import msgspec

from config.ids import Endpoint, SessionId
from ipc.messages.lifecycle import Tagged
from ipc.messages.sessions import SessionSummary


class FindSession(Tagged, frozen=True):
    """Named in one of three ways; answered with SessionDetail, or SessionUnknown."""

    session: SessionId = SessionId("")
    ufrag: str = ""
    """Of ours, as its client's checks name it."""
    relay: Endpoint | None = None
    """Link address of a relay, with the label of one of its flows."""
    label: int = 0
    client: Endpoint | None = None
    """If no session has that label: one that this client has a way to, whichever relay it comes by."""


class PathDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to the client."""

    path: str
    """`client>local/udp`."""
    selected: bool = False
    """Media goes this way."""
    verified: bool = False
    """A check on it had the right key."""
    proven: bool = False
    """The client has shown that it receives there."""
    silence: float = 0.0
    """Seconds since anything authenticated came on it."""
    relay: Endpoint | None = None
    """Link address of the relay by which it is reached now."""
    label: int | None = None
    worker: str = ""
    """Name of that relay."""


class ChannelDetail(msgspec.Struct, frozen=True):
    """One data channel."""

    channel: int
    label: str
    protocol: str
    ordered: bool


class LimitDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What will end the session, in seconds from now; None if nothing of the kind is set or due."""

    connect: float | None = None
    consent: float | None = None
    max_duration: float | None = None
    idle: float | None = None
    """At the latest: if nothing has gone by since it was looked at last."""


class AudioDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One session's audio, in the words of RFC 3550."""

    codec_in: str = ""
    codec_out: str = ""
    octets_in: int = 0
    octets_out: int = 0
    expected: int = 0
    """Packets that the client has sent, by its sequence numbers."""
    received: float | None = None
    """Seconds since the last packet came; None before any."""
    sent: float | None = None
    reports_in: int = 0
    source: int = 0
    """The client's SSRC; 0 before any packet."""


class SessionDetail(Tagged, frozen=True):
    """One session."""

    summary: SessionSummary
    backend: str
    endpoint: str = ""
    """Of the back end that has it; empty if that is built in, or nobody has it."""
    ufrags: tuple[str, ...] = ()
    """Ours that are good: two during an ICE restart."""
    dtls: str = ""
    """Version, our role and SRTP profile, once connected."""
    audio: AudioDetail = AudioDetail()
    paths: tuple[PathDetail, ...] = ()
    channels: tuple[ChannelDetail, ...] = ()
    buffered: int = 0
    """Bytes of messages that wait to be sent."""
    limits: LimitDetail = LimitDetail()
