"""One stream in Python: RTP inside SRTP, both ways, and RTCP beside it, packet by packet.

What the native media plane does in C is said here; nothing raises for what the peer sends: what goes
wrong here goes wrong fifty times a second, so it is a DropReason.
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from workers.transceiver.core.reception import MAX_GAP, Reception
from workers.transceiver.core.srtp import MAX_PACKET, Srtp, SrtpKeys
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    SendAudio,
    Stream,
    StreamStats,
)
from workers.wire.rtcp import is_rtcp
from workers.wire.rtp import HEADER_LENGTH, RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason, Malformed

MAX_SOURCES: Final = 16
"""SSRCs that a peer may use in one session; libsrtp keeps a stream for each."""
REPLAY_WINDOW: Final = 128
"""libsrtp's; a packet that is so late could not leave."""


class AudioStream:
    """It owns our SSRC and sequence numbers, of frames that we make and of those that we forward."""

    def __init__(
        self, keys: SrtpKeys, parameters: AudioParameters, ssrc: int, sequence: int
    ) -> None:
        self.reception: Final = Reception()
        self._srtp: Final = Srtp(keys)
        codecs = {codec.payload_type: codec for codec in parameters.codecs}
        self._receivable = codecs if parameters.receives else {}
        self._sendable = codecs if parameters.sends else {}
        self._sources: set[int] = set()
        self._octets_in = 0
        self._payload_type = -1
        self._received_at: Instant = 0.0
        self._reports_in = 0
        self._ssrc = ssrc
        self._next = sequence
        """After the highest sequence number that left."""
        self._origin: tuple[Stream, int] | None = None
        """Stream and SSRC that we forward."""
        self._first = 0
        """The least sequence number that one of its packets may have."""
        self._shift = 0
        """From its sequence numbers to ours."""
        self._time_shift = 0
        self._packets_out = 0
        self._octets_out = 0
        self._timestamp_out = 0
        self._payload_type_out = -1
        self._sent_at: Instant = 0.0

    # --- in ---------------------------------------------------------------------------------------

    def receive(
        self, datagram: bytes | memoryview, now: Instant
    ) -> AudioReceived | bytes | DropReason:
        """What a datagram carries, once it is authenticated: a frame, or an RTCP packet."""
        packet = self.authenticate(datagram)
        return packet if isinstance(packet, DropReason) else self.read(packet, now)

    def authenticate(self, datagram: bytes | memoryview) -> bytes | DropReason:
        """The packet in a datagram, if it is the peer's."""
        if len(datagram) > MAX_PACKET:
            return DropReason.OVERSIZE
        if len(datagram) < HEADER_LENGTH:
            return DropReason.MALFORMED_RTP
        rtcp = is_rtcp(datagram)
        source = _source(datagram, rtcp=rtcp)
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            return DropReason.SOURCE_LIMIT
        packet = (self._srtp.unprotect_rtcp if rtcp else self._srtp.unprotect)(datagram)
        if not isinstance(packet, DropReason):
            self._sources.add(source)
        return packet

    def read(self, packet: bytes, now: Instant) -> AudioReceived | bytes | DropReason:
        """What it says; RTCP is not ours to parse."""
        if not is_rtcp(packet):
            return self._on_rtp(packet, now)
        self._reports_in += 1
        return packet

    def _on_rtp(self, packet: bytes, now: Instant) -> AudioReceived | DropReason:
        try:
            payload_type, marker, sequence, timestamp, ssrc, payload = parse_rtp(packet)
        except Malformed as error:
            return error.reason
        codec = self._receivable.get(payload_type)
        if codec is None:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        self._payload_type = payload_type
        self._octets_in += len(payload)
        self._received_at = now
        self.reception.count(ssrc, sequence, timestamp, codec.clock_rate, now)
        return AudioReceived(payload, payload_type, sequence, timestamp, marker, ssrc)

    # --- out --------------------------------------------------------------------------------------

    def may_send(self, payload_type: int) -> bool:
        """True if such frames were agreed on."""
        return payload_type in self._sendable

    def send(self, frame: SendAudio, now: Instant) -> bytes | DropReason:
        """The datagram that carries one frame of ours."""
        if frame.payload_type not in self._sendable:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        self._origin = None  # what is forwarded goes on after this one
        return self._send(frame, self._next, frame.timestamp, now)

    def forward(self, frame: AudioReceived, origin: Stream, now: Instant) -> bytes | DropReason:
        """The datagram that carries a frame of another stream, or of this one's own peer.

        Sequence numbers move as they do at the origin, so that a loss before us is one behind us. Another
        source, or a jump of this one, goes on after what left last, by as much time as has passed.
        """
        codec = self._sendable.get(frame.payload_type)
        if codec is None:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        number = (frame.sequence + self._shift) & 0xFFFF
        step = _signed(number - self._next + 1)
        if self._origin == (origin, frame.ssrc) and -REPLAY_WINDOW < step < MAX_GAP:
            if step <= 0 and _signed(number - self._first) < 0:
                return DropReason.SRTP_REPLAY  # that number is an earlier packet's
        else:
            self._origin = (origin, frame.ssrc)
            number = self._first = self._next
            self._shift, self._time_shift = number - frame.sequence, 0
            if not self._packets_out:
                self._first -= REPLAY_WINDOW  # packets before the first one may still come
            else:
                passed = (now - self._sent_at) * codec.clock_rate
                step_of_time = int(min(max(passed, 1.0), 1e9))
                self._time_shift = self._timestamp_out + step_of_time - frame.timestamp
        return self._send(frame, number, frame.timestamp + self._time_shift, now)

    def send_report(self, packet: bytes) -> bytes | DropReason:
        """The datagram that carries a compound RTCP packet."""
        return self._srtp.protect_rtcp(packet)

    def _send(
        self, frame: SendAudio | AudioReceived, sequence: int, timestamp: int, now: Instant
    ) -> bytes | DropReason:
        payload_type, payload, timestamp = frame.payload_type, frame.payload, timestamp & 0xFFFFFFFF
        packet = RtpPacket(payload_type, frame.marker, sequence, timestamp, self._ssrc, payload)
        datagram = self._srtp.protect(encode_rtp(packet))
        if isinstance(datagram, DropReason):
            return datagram
        if _signed(sequence - self._next) >= 0:
            self._next, self._timestamp_out = (sequence + 1) & 0xFFFF, timestamp
        self._packets_out += 1
        self._octets_out += len(payload)
        self._payload_type_out, self._sent_at = payload_type, now
        return datagram

    # --- figures ----------------------------------------------------------------------------------

    @property
    def stats(self) -> StreamStats:
        """As it stands now."""
        reception = self.reception
        return StreamStats(
            packets_in=reception.packets,
            octets_in=self._octets_in,
            expected=reception.expected,
            lost=reception.lost,
            jitter=reception.jitter,
            source=reception.source,
            highest=reception.highest,
            payload_type=self._payload_type,
            received_at=self._received_at,
            packets_out=self._packets_out,
            octets_out=self._octets_out,
            timestamp_out=self._timestamp_out,
            sent_at=self._sent_at,
            reports_in=self._reports_in,
            payload_type_out=self._payload_type_out,
        )


def _source(packet: bytes | memoryview, *, rtcp: bool) -> int:
    """SSRC of an RTP or RTCP packet of at least 12 bytes, in the clear in both."""
    return int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")


def _signed(difference: int) -> int:
    """The nearer way from one 16-bit number to another."""
    return (difference + 0x8000 & 0xFFFF) - 0x8000
