"""The one audio stream of a session: RTP inside SRTP, both ways, and RTCP beside it.

Its two methods are the hot path of a transceiver. Both return a DropReason instead of raising: what
goes wrong here goes wrong fifty times a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from config.ids import Instant
from workers.transceiver.core.interface import AudioParameters, AudioReceived, Codec, SendAudio
from workers.transceiver.core.reception import Reception
from workers.transceiver.core.srtp import Srtp, SrtpKeys
from workers.wire.rtcp import Goodbye, is_rtcp, parse_rtcp
from workers.wire.rtp import HEADER_LENGTH, RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason, Malformed

MAX_SOURCES: Final = 16
"""SSRCs that a peer may use in one session; libsrtp keeps a stream for each."""


class AudioStream:
    """Closed until DTLS has made keys; it owns our SSRC and sequence numbers."""

    def __init__(self, parameters: AudioParameters | None, entropy: Callable[[int], bytes]) -> None:
        self.reception: Final = Reception()
        self.codec: Codec | None = None
        """Of the last packet that came."""
        self.rtcp_in = 0
        self.peer_left = False
        """The peer has said RTCP BYE; it may still hang up by DTLS or go silent."""
        codecs = {c.payload_type: c for c in parameters.codecs} if parameters else {}
        self._receivable = codecs if parameters and parameters.receives else {}
        self._sendable = codecs if parameters and parameters.sends else {}
        self._srtp: Srtp | None = None
        self._source = -1
        self._sources: set[int] = set()
        self._ssrc = int.from_bytes(entropy(4), "big")
        # RFC 3711, 3.3.1: begin low, so that loss around the first wrap cannot upset the rollover.
        self._sequence = int.from_bytes(entropy(2), "big") >> 1

    def open(self, keys: SrtpKeys) -> None:
        """From now on it encrypts and decrypts."""
        self._srtp = Srtp(keys)

    def send(self, event: SendAudio) -> bytes | DropReason:
        """The datagram that carries one frame."""
        if self._srtp is None:
            return DropReason.UNEXPECTED_STATE
        if event.payload_type not in self._sendable:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        packet = RtpPacket(
            event.payload_type,
            event.marker,
            self._sequence,
            event.timestamp & 0xFFFFFFFF,
            self._ssrc,
            event.payload,
        )
        datagram = self._srtp.protect(encode_rtp(packet))
        if not isinstance(datagram, DropReason):
            self._sequence = (self._sequence + 1) & 0xFFFF
        return datagram

    def receive(
        self, datagram: bytes | memoryview, now: Instant
    ) -> AudioReceived | DropReason | None:
        """What a datagram carries, once it is authenticated; None for RTCP."""
        if self._srtp is None:
            return DropReason.UNEXPECTED_STATE
        if len(datagram) < HEADER_LENGTH:
            return DropReason.MALFORMED_RTP
        rtcp = is_rtcp(datagram)
        if len(self._sources) >= MAX_SOURCES and _source(datagram, rtcp=rtcp) not in self._sources:
            return DropReason.SOURCE_LIMIT
        packet = (self._srtp.unprotect_rtcp if rtcp else self._srtp.unprotect)(datagram)
        if isinstance(packet, DropReason):
            return packet
        try:
            if not rtcp:
                return self._on_rtp(packet, now)
            self._on_rtcp(packet)
        except Malformed as error:
            # Its source has a stream in libsrtp all the same.
            self._sources.add(_source(packet, rtcp=rtcp))
            return error.reason
        return None

    def _on_rtp(self, packet: bytes, now: Instant) -> AudioReceived | DropReason:
        payload_type, marker, sequence, timestamp, ssrc, payload = parse_rtp(packet)
        if ssrc != self._source:
            self._source = ssrc
            self._sources.add(ssrc)
        codec = self._receivable.get(payload_type)
        if codec is None:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        self.codec = codec
        self.reception.count(ssrc, sequence, timestamp, codec.clock_rate, now)
        return AudioReceived(payload, payload_type, sequence, timestamp, marker, ssrc)

    def _on_rtcp(self, packet: bytes) -> None:
        self._sources.add(_source(packet, rtcp=True))
        self.rtcp_in += 1
        for part in parse_rtcp(packet):
            self.peer_left |= isinstance(part, Goodbye)


def _source(packet: bytes | memoryview, *, rtcp: bool) -> int:
    """SSRC of an RTP or RTCP packet of at least 12 bytes, in the clear in both."""
    return int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")
