"""INIT, INIT ACK and the cookie (RFC 9260, 5.1 and 5.2).

The end that answers an INIT keeps nothing: what it needs is in the cookie, under a keyed hash. One tag
and one initial TSN serve for our INIT and for every INIT ACK, so that a collision of two INITs ends in
the same association whichever cookie comes first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, NamedTuple

from workers.transceiver.core.sctp.interface import IN_FLIGHT
from workers.transceiver.core.sctp.reassembly import MAX_STREAMS
from workers.wire.sctp import encode_chunk, encode_parameters
from workers.wire.sctp_chunks import ChunkType, Init, Parameter, ParameterType

MAX_ATTEMPTS: Final = 8
"""Times an INIT or a COOKIE ECHO is sent again (Max.Init.Retransmits)."""
MAX_COOKIE: Final = 1024
"""Bytes of the peer's cookie that we echo."""
MAX_REPORTED: Final = 256
MIN_WINDOW: Final = 1500
_EXTENSIONS: Final = (
    Parameter(ParameterType.FORWARD_TSN_SUPPORTED, b""),
    Parameter(
        ParameterType.SUPPORTED_EXTENSIONS, bytes((ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN))
    ),
)
_COOKIE: Final = struct.Struct(">IIIH??")
_MAC_LENGTH: Final = 16
_KNOWN: Final = frozenset(ParameterType)
_SKIP, _REPORT = 0x8000, 0x4000


class Peer(NamedTuple):
    """What the handshake tells of the peer."""

    tag: int
    a_rwnd: int
    initial_tsn: int
    inbound: int
    """Streams that it can receive."""
    forward_tsn: bool
    re_config: bool


NOBODY: Final = Peer(0, 0, 0, MAX_STREAMS, False, False)


class Handshake:
    """Our tag and TSN, and the two halves of the four-way handshake."""

    def __init__(
        self, entropy: Callable[[int], bytes], window: int, said: Init | None = None
    ) -> None:
        """`said`: the INIT that the peer has of us already (SNAP)."""
        self.tag: Final = said.tag if said else int.from_bytes(entropy(4), "big") or 1
        self.initial_tsn: Final = said.initial_tsn if said else int.from_bytes(entropy(4), "big")
        self._key: Final = entropy(16)
        self._window: Final = min(window, IN_FLIGHT)

    def init(self) -> bytes:
        """Our INIT chunk."""
        return encode_chunk(self._init(False, _EXTENSIONS))

    def answer(self, init: Init) -> bytes | None:
        """The INIT ACK to their INIT; None if that cannot be meant."""
        peer = read_peer(init)
        if peer is None:
            return None
        state = _COOKIE.pack(*peer)
        cookie = Parameter(ParameterType.STATE_COOKIE, state + self._mac(state))
        return encode_chunk(self._init(True, (*_EXTENSIONS, cookie, *_unrecognized(init))))

    def redeem(self, cookie: bytes) -> Peer | None:
        """The peer that a cookie of ours describes; None if it is not one of ours."""
        state, mac = cookie[: _COOKIE.size], cookie[_COOKIE.size :]
        if len(state) < _COOKIE.size or not compare_digest(mac, self._mac(state)):
            return None
        return Peer(*_COOKIE.unpack(state))

    def _init(self, ack: bool, parameters: tuple[Parameter, ...]) -> Init:
        return Init(
            ack, self.tag, self._window, MAX_STREAMS, MAX_STREAMS, self.initial_tsn, parameters
        )

    def _mac(self, state: bytes) -> bytes:
        return blake2b(state, digest_size=_MAC_LENGTH, key=self._key).digest()


def read_peer(init: Init) -> Peer | None:
    """What an INIT or INIT ACK says; None if a tag or a stream is missing, or the window is tiny."""
    if not (init.tag and init.outbound and init.inbound and init.a_rwnd >= MIN_WINDOW):
        return None
    extensions = init.parameter(ParameterType.SUPPORTED_EXTENSIONS) or b""
    forward = init.parameter(ParameterType.FORWARD_TSN_SUPPORTED) is not None
    return Peer(
        init.tag,
        init.a_rwnd,
        init.initial_tsn,
        init.inbound,
        forward or ChunkType.FORWARD_TSN in extensions,
        ChunkType.RE_CONFIG in extensions,
    )


def _unrecognized(init: Init) -> list[Parameter]:
    """What they want to hear that we do not know (3.2.1), within bounds."""
    reported: list[Parameter] = []
    size = 0
    for parameter in init.parameters:
        if parameter.type in _KNOWN or parameter.type < _REPORT:
            continue
        if parameter.type & _REPORT:
            value = encode_parameters((parameter,))
            size += len(value)
            if size > MAX_REPORTED:
                break
            reported.append(Parameter(ParameterType.UNRECOGNIZED, value))
        if not parameter.type & _SKIP:
            break
    return reported
