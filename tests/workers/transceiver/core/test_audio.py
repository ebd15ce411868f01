"""One audio stream, both ways."""

from __future__ import annotations

import pytest

from tests.support.sessions import OPUS, PCMU, entropy
from workers.transceiver.core.audio import MAX_SOURCES, AudioStream
from workers.transceiver.core.interface import AudioParameters, AudioReceived, SendAudio
from workers.transceiver.core.srtp import Srtp, SrtpKeys, SrtpProfile
from workers.wire.rtcp import Goodbye, ReceiverReport, encode_rtcp
from workers.wire.rtp import RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason

KEYS = SrtpKeys(SrtpProfile.AEAD_AES_128_GCM, bytes(28), bytes(range(28)))
PEER_KEYS = SrtpKeys(KEYS.profile, KEYS.remote, KEYS.local)


def stream(*, sends: bool = True, receives: bool = True) -> AudioStream:
    audio = AudioStream(
        AudioParameters("0", (OPUS, PCMU), sends=sends, receives=receives), entropy("audio")
    )
    audio.open(KEYS)
    return audio


def good(result: bytes | DropReason) -> bytes:
    assert isinstance(result, bytes)
    return result


def frame(sequence: int, *, ssrc: int = 9, payload_type: int = 111) -> bytes:
    return encode_rtp(RtpPacket(payload_type, False, sequence, sequence * 960, ssrc, b"frame"))


def test_frames_are_numbered_one_after_the_other_across_the_wrap() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    audio._sequence = 65534
    packets = []
    for index in range(4):
        datagram = good(audio.send(SendAudio(b"x", index * 960, 111)))
        packets.append(parse_rtp(good(peer.unprotect(datagram))))
    assert [packet.sequence for packet in packets] == [65534, 65535, 0, 1]
    assert len({packet.ssrc for packet in packets}) == 1


def test_a_frame_that_could_not_be_sent_takes_no_number() -> None:
    audio = stream()
    before = audio._sequence
    assert audio.send(SendAudio(bytes(2000), 0, 111)) is DropReason.OVERSIZE
    assert audio.send(SendAudio(b"", 0, 96)) is DropReason.UNKNOWN_PAYLOAD_TYPE
    assert audio._sequence == before < 2**15


def test_a_frame_comes_out_as_it_went_in() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    heard = audio.receive(good(peer.protect(frame(5))), 0.0)
    assert heard == AudioReceived(b"frame", 111, 5, 4800, False, 9)
    assert audio.codec == OPUS
    assert audio.reception.packets == 1


@pytest.mark.parametrize(("sends", "receives"), [(False, True), (True, False), (False, False)])
def test_the_negotiated_direction_is_kept(sends: bool, receives: bool) -> None:
    audio, peer = stream(sends=sends, receives=receives), Srtp(PEER_KEYS)
    sent, heard = (
        audio.send(SendAudio(b"", 0, 111)),
        audio.receive(good(peer.protect(frame(1))), 0.0),
    )
    assert isinstance(sent, bytes) is sends
    assert isinstance(heard, AudioReceived) is receives


def test_without_keys_there_is_no_audio() -> None:
    audio = AudioStream(AudioParameters("0", (OPUS,), sends=True, receives=True), entropy("audio"))
    assert audio.send(SendAudio(b"", 0, 111)) is DropReason.UNEXPECTED_STATE
    assert audio.receive(bytes(40), 0.0) is DropReason.UNEXPECTED_STATE


def test_sources_are_bounded_and_forgeries_do_not_count() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    for ssrc in range(100):
        assert audio.receive(frame(1, ssrc=ssrc) + bytes(16), 0.0) is DropReason.SRTP_AUTHENTICATION
    for ssrc in range(MAX_SOURCES):
        assert isinstance(
            audio.receive(good(peer.protect(frame(1, ssrc=ssrc))), 0.0), AudioReceived
        )
    assert audio.receive(good(peer.protect(frame(1, ssrc=99))), 0.0) is DropReason.SOURCE_LIMIT
    assert isinstance(audio.receive(good(peer.protect(frame(2, ssrc=0))), 0.0), AudioReceived)


def test_rtcp_is_counted_and_a_bye_noted() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    report = encode_rtcp([ReceiverReport(0)])
    assert audio.receive(good(peer.protect_rtcp(report)), 0.0) is None
    assert (audio.rtcp_in, audio.peer_left) == (1, False)
    bye = encode_rtcp([Goodbye((0,))])
    assert audio.receive(good(peer.protect_rtcp(report + bye)), 0.0) is None
    assert (audio.rtcp_in, audio.peer_left) == (2, True)
