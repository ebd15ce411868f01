"""What a session is born with, and the values that it and all around it speak in."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from config.ids import Endpoint, Transport
from workers.transceiver.core.sctp.interface import Parameters
from workers.transceiver.core.streams.interface import AudioParameters


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


class DataParameters(msgspec.Struct, frozen=True):
    """What was agreed for the section of data channels (RFC 8841)."""

    mid: str
    remote_port: int
    """SCTP's, not UDP's."""
    peer_max_message: int
    """Bytes; 0 if the peer sets no limit."""
    our_init: bytes = b""
    their_init: bytes = b""
    """SNAP: the INIT chunks of both descriptions; empty if the peer's had none."""

    def association(self, *, even: bool) -> Parameters:
        """Those of an association that does as was agreed."""
        return Parameters(
            even=even,
            remote_port=self.remote_port,
            peer_max_message=self.peer_max_message,
            our_init=self.our_init,
            their_init=self.their_init,
        )


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
    max_duration: float = 0.0
    """Seconds from CONNECTED; 0 for ever."""
    idle_timeout: float = 0.0
    """Seconds without audio or message; 0 never."""
    data: DataParameters | None = None
    sped: bool = False
    """Both ends put DTLS into checks."""
    advertise: tuple[Endpoint, ...] = ()
    """Controlled side only: what the answer has said of our addresses, and what a restart says again."""
    ssrc: int | None = None
    """Of our audio, if the peer has been told; else the session picks one."""
