"""SRTP in place: both profiles, both kinds of packets, and what is wrong with a bad one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy
from pylibsrtp import Session as Library

from workers.transceiver.core import srtp
from workers.transceiver.core.srtp import MAX_PACKET, Srtp, SrtpKeys, SrtpProfile
from workers.wire.rtcp import ReceiverReport, encode_rtcp
from workers.wire.rtp import RtpPacket, encode_rtp
from workers.wire.types import DropReason

PACKET = encode_rtp(RtpPacket(111, False, 1, 960, 7, b"voice"))
REPORT = encode_rtcp([ReceiverReport(7)])


def keys(profile: SrtpProfile) -> tuple[SrtpKeys, SrtpKeys]:
    length = profile.key_length + profile.salt_length
    one, two = bytes(range(length)), bytes(range(100, 100 + length))
    return SrtpKeys(profile, one, two), SrtpKeys(profile, two, one)


def pair(profile: SrtpProfile) -> tuple[Srtp, Srtp]:
    ours, theirs = keys(profile)
    return Srtp(ours), Srtp(theirs)


def good(result: bytes | DropReason) -> bytes:
    assert isinstance(result, bytes)
    return result


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_what_one_protects_the_other_reads(profile: SrtpProfile) -> None:
    ours, theirs = pair(profile)
    datagram = good(ours.protect(PACKET))
    assert datagram[:12] == PACKET[:12]
    assert b"voice" not in datagram
    assert theirs.unprotect(memoryview(datagram)) == PACKET
    control = good(ours.protect_rtcp(REPORT))
    assert theirs.unprotect_rtcp(control) == REPORT


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_the_library_itself_reads_it(profile: SrtpProfile) -> None:
    ours, _ = keys(profile)
    number = {
        SrtpProfile.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        SrtpProfile.AES128_CM_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    }[profile]
    library = Library(Policy(ours.local, Policy.SSRC_ANY_INBOUND, srtp_profile=number))
    assert library.unprotect(good(Srtp(ours).protect(PACKET))) == PACKET


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_a_repetition_is_a_replay(profile: SrtpProfile) -> None:
    ours, theirs = pair(profile)
    datagram, control = good(ours.protect(PACKET)), good(ours.protect_rtcp(REPORT))
    theirs.unprotect(datagram)
    theirs.unprotect_rtcp(control)
    assert theirs.unprotect(datagram) is DropReason.SRTP_REPLAY
    assert theirs.unprotect_rtcp(control) is DropReason.SRTP_REPLAY


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_a_packet_older_than_the_window_is_a_replay(profile: SrtpProfile) -> None:
    ours, theirs = pair(profile)
    datagrams = [
        good(ours.protect(encode_rtp(RtpPacket(111, False, n, 0, 7, b"x")))) for n in range(300)
    ]
    for datagram in datagrams[1:]:
        theirs.unprotect(datagram)
    assert theirs.unprotect(datagrams[0]) is DropReason.SRTP_REPLAY


@pytest.mark.parametrize("profile", list(SrtpProfile))
@given(position=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(profile: SrtpProfile, position: int, bit: int) -> None:
    ours, theirs = pair(profile)
    datagram = bytearray(good(ours.protect(PACKET)))
    datagram[position % len(datagram)] ^= 1 << bit
    assert isinstance(theirs.unprotect(bytes(datagram)), DropReason)


@pytest.mark.parametrize("profile", list(SrtpProfile))
@given(st.binary(max_size=MAX_PACKET + 10))
def test_any_bytes_are_refused(profile: SrtpProfile, data: bytes) -> None:
    _, theirs = SHARED[profile]
    assert isinstance(theirs.unprotect(data), DropReason)
    assert isinstance(theirs.unprotect_rtcp(data), DropReason)


SHARED = {profile: pair(profile) for profile in SrtpProfile}


def test_what_fits_no_datagram_is_refused() -> None:
    ours, theirs = pair(SrtpProfile.AEAD_AES_128_GCM)
    longest = encode_rtp(RtpPacket(111, False, 2, 0, 7, bytes(MAX_PACKET - 20 - 12)))
    assert len(good(ours.protect(longest))) <= MAX_PACKET
    assert ours.protect(longest + b"x") is DropReason.OVERSIZE
    assert theirs.unprotect(bytes(MAX_PACKET + 1)) is DropReason.OVERSIZE


def test_sessions_share_a_buffer_and_nothing_else() -> None:
    first, second = pair(SrtpProfile.AEAD_AES_128_GCM), pair(SrtpProfile.AES128_CM_SHA1_80)
    one = good(first[0].protect(PACKET))
    two = good(second[0].protect(PACKET))
    assert first[1].unprotect(one) == PACKET
    assert second[1].unprotect(two) == PACKET


def test_what_libsrtp_was_told_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Policy] = []

    class Kept(Policy):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            told.append(self)

    monkeypatch.setattr(srtp, "Policy", Kept)
    Srtp(keys(SrtpProfile.AEAD_AES_128_GCM)[0])
    assert [bytes(policy.key or b"?") for policy in told] == [bytes(28)] * 2
