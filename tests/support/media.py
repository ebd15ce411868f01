"""A media plane on real loopback sockets, with relays and peers played by the test.

Loopback UDP is synchronous: what `sendto` returned from is in the receiver's queue, so nothing waits.
"""

from __future__ import annotations

import hashlib
import socket
from typing import Final, NamedTuple

from config.ids import Endpoint
from workers.transceiver.core.srtp import Srtp, SrtpKeys, SrtpProfile
from workers.transceiver.core.streams.interface import AudioParameters, Codec, LinkLabel
from workers.wire.link import Record, RecordType, encode_record, parse_records
from workers.wire.rtp import RtpPacket, encode_rtp, parse_rtp

OPUS: Final = Codec("opus", 111, 48000, 2)
PCMU: Final = Codec("pcmu", 0, 8000)
AUDIO: Final = AudioParameters("0", (OPUS, PCMU), sends=True, receives=True)
MTU: Final = 1280
MAX_STREAMS: Final = 8


def udp(host: str = "127.0.0.1") -> socket.socket:
    """A bound, non-blocking socket with room."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def endpoint(sock: socket.socket) -> Endpoint:
    """Where it is."""
    return Endpoint(*sock.getsockname()[:2])


class Relay:
    """A relay's link socket."""

    def __init__(self, link: socket.socket, host: str = "127.0.0.1") -> None:
        self.sock = udp(host)
        self.at = endpoint(self.sock)
        self._link = link.getsockname()

    def label(self, number: int) -> LinkLabel:
        """A label of this relay's."""
        return LinkLabel(self.at, number)

    def send(self, *records: bytes) -> None:
        """One link datagram."""
        self.sock.sendto(b"".join(records), self._link)

    def data(self, label: int, *payloads: bytes) -> None:
        """One link datagram of DATA records with that label."""
        self.send(*(encode_record(RecordType.DATA, 0, label, payload) for payload in payloads))

    def datagrams(self) -> list[bytes]:
        """What has come."""
        came = []
        while True:
            try:
                came.append(self.sock.recv(65536))
            except BlockingIOError:
                return came

    def records(self) -> list[Record]:
        """What has come, a record after the other."""
        return [record for datagram in self.datagrams() for record in parse_records(datagram)]


class Peer(NamedTuple):
    """A client's end of a stream's keys."""

    keys: SrtpKeys
    """The plane's."""
    srtp: Srtp

    def rtp(
        self, sequence: int, *, payload: bytes = b"frame", type_: int = 111, ssrc: int = 0xA,
        marker: bool = False, timestamp: int | None = None,
    ) -> bytes:  # fmt: skip
        """One SRTP packet."""
        timestamp = sequence * 960 & 0xFFFFFFFF if timestamp is None else timestamp
        return self.protect(
            encode_rtp(RtpPacket(type_, marker, sequence & 0xFFFF, timestamp, ssrc, payload))
        )

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet encrypted."""
        datagram = self.srtp.protect(packet)
        assert isinstance(datagram, bytes)
        return datagram

    def report(self, ssrc: int = 0xA, body: bytes = b"") -> bytes:
        """One SRTCP packet: an empty receiver report."""
        words = (4 + len(body)) // 4
        packet = b"\x80\xc9" + words.to_bytes(2, "big") + ssrc.to_bytes(4, "big") + body
        datagram = self.srtp.protect_rtcp(packet)
        assert isinstance(datagram, bytes)
        return datagram

    def hears(self, record: Record) -> RtpPacket:
        """What a record to this peer says."""
        packet = self.srtp.unprotect(bytes(record.payload))
        assert isinstance(packet, bytes), packet
        return parse_rtp(packet)


def peer(number: int, profile: SrtpProfile = SrtpProfile.AEAD_AES_128_GCM) -> Peer:
    """The same number gives the same keys."""
    length = profile.key_length + profile.salt_length
    material = hashlib.shake_128(b"peer %d" % number).digest(2 * length)
    keys = SrtpKeys(profile, material[:length], material[length:])
    return Peer(keys, Srtp(SrtpKeys(profile, keys.remote, keys.local)))
