"""SRTP against the text of RFC 3711 and RFC 7714.

The RFCs' vectors are of session keys, and libsrtp takes master keys. So the two ciphers are written down
here once more, from the RFCs; that is held to their vectors, and then our sessions to that.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from workers.transceiver.core.srtp import Srtp, SrtpKeys, SrtpProfile

CM, GCM = SrtpProfile.AES128_CM_SHA1_80, SrtpProfile.AEAD_AES_128_GCM
SSRC: Final = 0xCAFEBABE
RTP_KEY, RTP_AUTH, RTP_SALT, RTCP_KEY, RTCP_AUTH, RTCP_SALT = range(6)
"""Labels of the key derivation (RFC 3711, 4.3.1 and 4.3.2)."""
TAG: Final = 10
ENCRYPTED: Final = 1 << 31


def key_stream(key: bytes, start: int, length: int) -> bytes:
    """AES in counter mode, from that counter block on (RFC 3711, 4.1.1)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length))


def derive(master_key: bytes, master_salt: bytes, label: int, length: int) -> bytes:
    """Section 4.3.3, with a key derivation rate of 0. A salt of 96 bits counts as 112 (RFC 7714, 11)."""
    salt = int.from_bytes(master_salt + bytes(14 - len(master_salt)), "big")
    return key_stream(master_key, (salt ^ label << 48) << 16, length)


def xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


class Direction(NamedTuple):
    """One direction, as the RFCs have it, while the rollover counter is 0."""

    key: bytes
    salt: bytes

    def cm_rtp(self, packet: bytes) -> bytes:
        index = struct.unpack_from(">H", packet, 2)[0]
        cipher, auth, salt = self._cm(RTP_KEY)
        start = int.from_bytes(salt, "big") << 16 ^ SSRC << 64 ^ index << 16
        body = xor(packet[12:], key_stream(cipher, start, len(packet) - 12))
        authenticated = packet[:12] + body
        return authenticated + hmac.digest(auth, authenticated + bytes(4), "sha1")[:TAG]

    def cm_rtcp(self, packet: bytes, index: int) -> bytes:
        cipher, auth, salt = self._cm(RTCP_KEY)
        start = int.from_bytes(salt, "big") << 16 ^ SSRC << 64 ^ index << 16
        body = xor(packet[8:], key_stream(cipher, start, len(packet) - 8))
        authenticated = packet[:8] + body + struct.pack(">I", ENCRYPTED | index)
        return authenticated + hmac.digest(auth, authenticated, "sha1")[:TAG]

    def gcm_rtp(self, packet: bytes) -> bytes:
        cipher = derive(self.key, self.salt, RTP_KEY, 16)
        salt = derive(self.key, self.salt, RTP_SALT, 12)
        return packet[:12] + gcm_rtp(cipher, salt, packet)

    def gcm_rtcp(self, packet: bytes, index: int) -> bytes:
        cipher = derive(self.key, self.salt, RTCP_KEY, 16)
        salt = derive(self.key, self.salt, RTCP_SALT, 12)
        nonce = xor(struct.pack(">HIHI", 0, SSRC, 0, index), salt)
        trailer = struct.pack(">I", ENCRYPTED | index)
        sealed = AESGCM(cipher).encrypt(nonce, packet[8:], packet[:8] + trailer)
        return packet[:8] + sealed + trailer

    def _cm(self, first: int) -> tuple[bytes, bytes, bytes]:
        lengths = (16, 20, 14)
        cipher, auth, salt = (
            derive(self.key, self.salt, first + n, length) for n, length in enumerate(lengths)
        )
        return cipher, auth, salt


def gcm_rtp(cipher: bytes, salt: bytes, packet: bytes) -> bytes:
    """RFC 7714, 8.1: what follows the header."""
    sequence, ssrc = struct.unpack_from(">H", packet, 2)[0], packet[8:12]
    nonce = xor(bytes(2) + ssrc + struct.pack(">IH", 0, sequence), salt)
    return AESGCM(cipher).encrypt(nonce, packet[12:], packet[:12])


# --- the RFCs' own vectors --------------------------------------------------------------------------


def test_rfc3711_b2_counter_mode() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    stream = key_stream(key, 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD0000, 0xFF02 * 16)
    assert stream[:48].hex() == (
        "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab"
        "41e95b3bb0a2e8dd477901e4fca894c0"
    )
    assert stream[-48:].hex() == (
        "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae"
        "6a2cc3787889374fbeb4c81b17ba6c44"
    )


def test_rfc3711_b3_key_derivation() -> None:
    key = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de4139")
    salt = bytes.fromhex("0ec675ad498afeebb6960b3aabe6")
    assert derive(key, salt, RTP_KEY, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert derive(key, salt, RTP_SALT, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert derive(key, salt, RTP_AUTH, 20).hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"


def test_rfc7714_16_1_1_packet() -> None:
    header = bytes.fromhex("8040f17b8041f8d35501a0b2")
    packet = header + b"Gallia est omnis divisa in partes tres"
    sealed = gcm_rtp(bytes(range(16)), b"Quid pro quo", packet)
    assert sealed.hex() == (
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b"
        "36de3adf8833899d7f27beb16a9152cf765ee4390cce"
    )


# --- ours against that ------------------------------------------------------------------------------

OURS, THEIRS = bytes(range(1, 17)), bytes(range(101, 117))
SALTS: Final = {CM: bytes(range(14)), GCM: bytes(range(12))}
REPORT: Final = struct.pack(">BBHI", 0x80, 201, 1, SSRC)
"""A receiver report about nobody."""


def rtp(sequence: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, 111, sequence, 960 * sequence, SSRC) + payload


def session(profile: SrtpProfile) -> tuple[Srtp, Direction, Direction]:
    """Ours, and what its two directions should do."""
    salt = SALTS[profile]
    one, two = Direction(OURS, salt), Direction(THEIRS, salt)
    return Srtp(SrtpKeys(profile, OURS + salt, THEIRS + salt)), one, two


def of(
    profile: SrtpProfile, direction: Direction
) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    if profile is CM:
        return direction.cm_rtp, direction.cm_rtcp
    return direction.gcm_rtp, direction.gcm_rtcp


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_we_protect_as_the_rfc_says(profile: SrtpProfile) -> None:
    ours, outbound, _ = session(profile)
    protect, protect_rtcp = of(profile, outbound)
    for sequence in (1, 2, 300, 301):
        packet = rtp(sequence, b"voice" * (sequence % 9))
        assert ours.protect(packet) == protect(packet)
    # libsrtp's first SRTCP index is 1; RFC 3711, 3.4, leaves it to begin at 0 or later.
    for index in (1, 2):
        assert ours.protect_rtcp(REPORT) == protect_rtcp(REPORT, index)


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_we_read_what_the_rfc_protects(profile: SrtpProfile) -> None:
    ours, _, inbound = session(profile)
    protect, protect_rtcp = of(profile, inbound)
    for sequence in (7, 9, 8):
        packet = rtp(sequence, b"voice")
        assert ours.unprotect(protect(packet)) == packet
    assert ours.unprotect_rtcp(protect_rtcp(REPORT, 5)) == REPORT
