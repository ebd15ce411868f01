"""One audio stream, both ways."""

from __future__ import annotations

import pytest

from tests.support.sessions import OPUS, PCMU
from workers.transceiver.core.audio import MAX_SOURCES, REPLAY_WINDOW, AudioStream
from workers.transceiver.core.interface import AudioParameters, AudioReceived, SendAudio
from workers.transceiver.core.reception import MAX_GAP
from workers.transceiver.core.srtp import Srtp, SrtpKeys, SrtpProfile
from workers.transceiver.core.streams.interface import StreamStats
from workers.wire.rtcp import Goodbye, ReceiverReport, encode_rtcp
from workers.wire.rtp import RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason

KEYS = SrtpKeys(SrtpProfile.AEAD_AES_128_GCM, bytes(28), bytes(range(28)))
PEER_KEYS = SrtpKeys(KEYS.profile, KEYS.remote, KEYS.local)
SSRC = 77
FIRST = 1000


def stream(*, sends: bool = True, receives: bool = True, sequence: int = FIRST) -> AudioStream:
    parameters = AudioParameters("0", (OPUS, PCMU), sends=sends, receives=receives)
    return AudioStream(KEYS, parameters, SSRC, sequence)


def good(result: bytes | DropReason) -> bytes:
    assert isinstance(result, bytes)
    return result


def packet(sequence: int, *, ssrc: int = 9, payload_type: int = 111) -> bytes:
    return encode_rtp(RtpPacket(payload_type, False, sequence, sequence * 960, ssrc, b"frame"))


def heard(sequence: int, *, ssrc: int = 9, payload_type: int = 111) -> AudioReceived:
    timestamp = sequence * 960 & 0xFFFFFFFF
    return AudioReceived(b"frame", payload_type, sequence & 0xFFFF, timestamp, False, ssrc)


class Far:
    """The other end: what a stream sends, opened."""

    def __init__(self) -> None:
        self._srtp = Srtp(PEER_KEYS)

    def opened(self, datagram: bytes | DropReason) -> RtpPacket:
        return parse_rtp(good(self._srtp.unprotect(good(datagram))))


# --- in -------------------------------------------------------------------------------------------


def test_a_frame_comes_out_as_it_went_in() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    assert audio.receive(good(peer.protect(packet(5))), 3.0) == heard(5)
    assert audio.stats == StreamStats(
        packets_in=1,
        octets_in=5,
        expected=1,
        source=9,
        highest=5,
        payload_type=111,
        received_at=3.0,
    )


def test_sources_are_bounded_and_forgeries_do_not_count() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    for ssrc in range(100):
        forged = packet(1, ssrc=ssrc) + bytes(16)
        assert audio.receive(forged, 0.0) is DropReason.SRTP_AUTHENTICATION
    for ssrc in range(MAX_SOURCES):
        datagram = good(peer.protect(packet(1, ssrc=ssrc)))
        assert isinstance(audio.receive(datagram, 0.0), AudioReceived)
    assert audio.receive(good(peer.protect(packet(1, ssrc=99))), 0.0) is DropReason.SOURCE_LIMIT
    assert isinstance(audio.receive(good(peer.protect(packet(2, ssrc=0))), 0.0), AudioReceived)


def test_reports_are_handed_over_and_counted() -> None:
    audio, peer = stream(), Srtp(PEER_KEYS)
    report = encode_rtcp([ReceiverReport(0), Goodbye((0,))])
    assert audio.receive(good(peer.protect_rtcp(report)), 0.0) == report
    assert audio.stats == StreamStats(reports_in=1)


def test_what_is_no_packet() -> None:
    audio = stream()
    assert audio.receive(b"\x80\x6f", 0.0) is DropReason.MALFORMED_RTP
    assert audio.receive(bytes(1501), 0.0) is DropReason.OVERSIZE


# --- out ------------------------------------------------------------------------------------------


def test_frames_are_numbered_one_after_the_other_across_the_wrap() -> None:
    audio, far = stream(sequence=65534), Far()
    sent = [far.opened(audio.send(SendAudio(b"x", n * 960, 111), 0.0)) for n in range(4)]
    assert [each.sequence for each in sent] == [65534, 65535, 0, 1]
    assert {each.ssrc for each in sent} == {SSRC}


def test_a_frame_that_could_not_be_sent_takes_no_number() -> None:
    audio, far = stream(), Far()
    assert audio.send(SendAudio(bytes(2000), 0, 111), 0.0) is DropReason.OVERSIZE
    assert audio.send(SendAudio(b"", 0, 96), 0.0) is DropReason.UNKNOWN_PAYLOAD_TYPE
    assert far.opened(audio.send(SendAudio(b"", 0, 111), 0.0)).sequence == FIRST


@pytest.mark.parametrize(("sends", "receives"), [(False, True), (True, False), (False, False)])
def test_the_negotiated_direction_is_kept(sends: bool, receives: bool) -> None:
    audio, peer = stream(sends=sends, receives=receives), Srtp(PEER_KEYS)
    assert isinstance(audio.send(SendAudio(b"", 0, 111), 0.0), bytes) is sends
    assert isinstance(audio.forward(heard(1), 0, 0.0), bytes) is sends
    got = audio.receive(good(peer.protect(packet(1))), 0.0)
    assert isinstance(got, AudioReceived) is receives


def test_what_left_is_counted() -> None:
    audio = stream()
    audio.send(SendAudio(b"abc", 2**32 + 960, 111), 1.0)
    audio.send(SendAudio(b"de", 1920, 0), 2.0)
    assert audio.stats == StreamStats(
        packets_out=2, octets_out=5, timestamp_out=1920, sent_at=2.0, payload_type_out=0
    )


# --- forwarded ------------------------------------------------------------------------------------


def test_a_forwarded_frame_keeps_its_marks_and_its_gaps() -> None:
    audio, far = stream(), Far()
    frames = [heard(n) for n in (500, 501, 504, 505)]
    sent = [far.opened(audio.forward(frame, 0, 0.0)) for frame in frames]
    assert [each.sequence for each in sent] == [FIRST, FIRST + 1, FIRST + 4, FIRST + 5]
    assert [each.timestamp for each in sent] == [frame.timestamp for frame in frames]
    assert {each.ssrc for each in sent} == {SSRC}
    marked = AudioReceived(b"m", 0, 506, 1, True, 9)
    assert far.opened(audio.forward(marked, 0, 0.0))[:3] == (0, True, FIRST + 6)


def test_late_frames_have_their_number_even_before_the_first_one() -> None:
    audio, far = stream(), Far()
    order = (500, 499, 503, 501)
    sent = [far.opened(audio.forward(heard(n), 0, 0.0)).sequence for n in order]
    assert sent == [FIRST + n - 500 for n in order]
    assert audio.forward(heard(501), 0, 0.0) is DropReason.SRTP_REPLAY


def test_gaps_survive_both_wraps() -> None:
    audio, far = stream(sequence=65530), Far()
    origin = [65533, 65535, 65536, 65539]
    sent = [far.opened(audio.forward(heard(n), 0, 0.0)).sequence for n in origin]
    assert sent == [65530, 65532, 65533, 0]


@pytest.mark.parametrize(
    ("then", "stream_then", "why"),
    [
        (heard(9, ssrc=10), 0, "another source"),
        (heard(9), 1, "another stream"),
        (heard(501 + MAX_GAP), 0, "a jump ahead"),
        (heard(501 - REPLAY_WINDOW), 0, "a jump back"),
    ],
)
def test_what_begins_anew_goes_on_after_the_last(
    then: AudioReceived, stream_then: int, why: str
) -> None:
    audio, far = stream(), Far()
    for n in (500, 501):
        before = far.opened(audio.forward(heard(n), 0, n / 50))
    after = far.opened(audio.forward(then, stream_then, 501 / 50 + 2))
    assert after.sequence == before.sequence + 1, why
    assert after.timestamp == before.timestamp + 96_000


def test_a_late_frame_of_a_second_source_has_no_number() -> None:
    audio, far = stream(), Far()
    far.opened(audio.forward(heard(500), 0, 0.0))
    far.opened(audio.forward(heard(9, ssrc=10), 0, 0.0))
    assert audio.forward(heard(8, ssrc=10), 0, 0.0) is DropReason.SRTP_REPLAY
    assert far.opened(audio.forward(heard(10, ssrc=10), 0, 0.0)).sequence == FIRST + 2


def test_frames_of_ours_go_between_forwarded_ones() -> None:
    audio, far = stream(), Far()
    sent = [
        far.opened(audio.forward(heard(500), 0, 0.0)),
        far.opened(audio.send(SendAudio(b"x", 7, 111), 0.0)),
        far.opened(audio.forward(heard(501), 0, 0.0)),
        far.opened(audio.forward(heard(502), 0, 0.0)),
    ]
    assert [each.sequence for each in sent] == [FIRST + n for n in range(4)]
