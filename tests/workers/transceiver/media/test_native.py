"""The plane in C on real loopback sockets, a round at a time; its thread where that is what is tried."""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from config.ids import Endpoint
from tests.support.media import AUDIO, MAX_STREAMS, MTU, OPUS, PCMU, Peer, Relay, peer, udp
from workers.native import NotBuilt
from workers.transceiver.core.interface import RecordReceived, SendRecord
from workers.transceiver.core.srtp import MAX_PACKET, SrtpProfile
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    FrameReceived,
    LinkLabel,
    MediaSeen,
    ReportReceived,
    SendAudio,
    StreamClosed,
    StreamStats,
)
from workers.transceiver.media.base import GATHER, REPORT_WAIT, SEEN_EVERY, PlaneEvent
from workers.transceiver.media.native import NativePlane
from workers.wire.link import MAX_LINK_DATAGRAM, RecordType, encode_record
from workers.wire.rtp import RtpPacket, encode_rtp
from workers.wire.types import DropReason

LABEL = 0x500
STREAM_FRAMES = 64
STREAM_RECORDS = 256


class Stage:
    """A plane, a relay, and time."""

    def __init__(self, ends: ExitStack, host: str = "127.0.0.1") -> None:
        self.link = udp(host)
        self.relay = Relay(self.link, host)
        ends.callback(self.link.close)
        ends.callback(self.relay.sock.close)
        self.now = 1000.0
        self.plane = self.another_plane(ends)

    def another_plane(self, ends: ExitStack, **more: Any) -> NativePlane:
        options = {"mtu": MTU, "peers": [self.relay.at], "max_streams": MAX_STREAMS, **more}
        try:
            plane = NativePlane(self.link, **options)
        except NotBuilt as reason:
            pytest.skip(str(reason))
        ends.callback(plane.end)
        return plane

    def session(
        self, stream: int, label: int = LABEL, profile: SrtpProfile = SrtpProfile.AEAD_AES_128_GCM,
        audio: AudioParameters = AUDIO, **options: int,
    ) -> Peer:  # fmt: skip
        """An open stream that is bound to, and sent by, that label."""
        client = peer(stream, profile)
        values = {"ssrc": 0x5000 + stream, "sequence": 100, **options}
        self.plane.open(stream, client.keys, audio, **values)
        self.plane.bind(self.relay.label(label), stream)
        self.plane.set_way(stream, self.relay.label(label))
        return client

    def turn(self) -> list[PlaneEvent]:
        """Let the plane work, and hold it to its laws; sightings are left out."""
        return [event for event in self.everything() if not isinstance(event, MediaSeen)]

    def everything(self) -> list[PlaneEvent]:
        self.plane.flush()
        self.plane.turn(self.now)
        events = self.plane.take()
        assert self.plane.counters.conserved()
        return events

    def seen(self) -> list[MediaSeen]:
        return [event for event in self.everything() if isinstance(event, MediaSeen)]

    def dropped(self) -> dict[DropReason, int]:
        return dict(self.plane.counters.dropped)


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def stage(ends: ExitStack) -> Stage:
    return Stage(ends)


def frame(payload: bytes = b"ours", type_: int = 111, timestamp: int = 7) -> SendAudio:
    return SendAudio(payload, timestamp, type_)


def is_ready(plane: NativePlane) -> bool:
    return bool(select.select([plane.descriptor], [], [], 0)[0])


def wait(plane: NativePlane) -> bool:
    return bool(select.select([plane.descriptor], [], [], 5)[0])


# --- up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_a_frame_comes_up_decrypted(stage: Stage, profile: SrtpProfile) -> None:
    client = stage.session(3, profile=profile)
    stage.relay.data(LABEL, client.rtp(9, payload=b"hello", marker=True))
    (event,) = stage.turn()
    assert isinstance(event, FrameReceived)
    stream, audio, at = event
    assert (stream, at) == (3, stage.now)
    assert (audio.payload, audio.payload_type, audio.sequence) == (b"hello", 111, 9)
    assert (audio.timestamp, audio.marker, audio.ssrc) == (9 * 960, True, 0xA)


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_a_report_comes_up_decrypted(stage: Stage, profile: SrtpProfile) -> None:
    client = stage.session(3, profile=profile)
    stage.relay.data(LABEL, client.report(ssrc=0xB))
    assert stage.turn() == [ReportReceived(3, b"\x80\xc9\x00\x01\x00\x00\x00\x0b", stage.now)]
    assert stage.plane.stats(3).reports_in == 1


def test_for_a_report_python_may_sleep_on_a_little(stage: Stage) -> None:
    client = stage.session(3)
    stage.relay.data(LABEL, client.rtp(1))
    stage.everything()  # the sighting
    stage.now += 1
    stage.relay.data(LABEL, client.report(ssrc=0xB))
    assert stage.plane.turn(stage.now) == pytest.approx(stage.now + REPORT_WAIT)
    assert not is_ready(stage.plane)
    stage.plane.turn(stage.now + REPORT_WAIT * 0.99)
    assert not is_ready(stage.plane)
    stage.plane.turn(stage.now + REPORT_WAIT)
    assert is_ready(stage.plane)
    assert [type(event) for event in stage.plane.take()] == [ReportReceived]
    stage.plane.turn(stage.now + 10 * REPORT_WAIT)
    assert not is_ready(stage.plane)


def test_what_python_must_see_brings_a_report_along(stage: Stage) -> None:
    client = stage.session(3)
    stage.relay.data(LABEL, client.rtp(1), client.report(ssrc=0xB))
    stage.turn()
    stage.relay.data(LABEL, client.report(ssrc=0xB), b"\x16")
    stage.plane.turn(stage.now)
    assert is_ready(stage.plane)
    assert [type(event) for event in stage.plane.take()] == [ReportReceived, RecordReceived]
    stage.plane.turn(stage.now + REPORT_WAIT)
    assert not is_ready(stage.plane)


def gather(stage: Stage, client: Peer, gap: float, first: int) -> float | None:
    """A packet each so many seconds, of which each has a round: in how long the next is due at last."""
    due: float | None = None
    for number in range(first, first + int(0.06 / gap)):
        stage.now += gap
        stage.relay.data(LABEL, client.rtp(number))
        due = stage.plane.turn(stage.now)
        stage.plane.take()
    return None if due is None else due - stage.now


def test_while_media_is_dense_the_link_is_left_alone_for_what_comes_next(stage: Stage) -> None:
    client = stage.session(3)
    stage.plane.flush()
    assert gather(stage, client, 0.02, 0) is None
    assert gather(stage, client, 0.0002, 100) == pytest.approx(GATHER + 0.0002, abs=1e-5)
    assert gather(stage, client, 0.0009, 500) == pytest.approx(1.5 * GATHER, abs=1e-5)
    assert gather(stage, client, 0.0025, 600) is None
    assert gather(stage, client, 0.0002, 700) is not None
    stage.relay.data(LABEL, client.rtp(1100), b"\x16dtls")
    assert stage.plane.turn(stage.now + 0.0001) is None


def test_of_many_who_speak_at_once_the_first_waits_for_the_others(stage: Stage) -> None:
    client = stage.session(3)
    stage.plane.flush()
    for n in range(10):
        stage.now += 0.02
        stage.relay.data(LABEL, *(client.rtp(20 * n + i) for i in range(20)))
        due = stage.plane.turn(stage.now)
        stage.plane.take()
    assert due is None, "one datagram in 20 ms, though many records"
    for n in range(10, 20):
        stage.now += 0.02
        for i in range(20):
            stage.relay.data(LABEL, client.rtp(20 * n + i))
        due = stage.plane.turn(stage.now)
        stage.plane.take()
    assert due == pytest.approx(stage.now + 1.5 * GATHER)


def test_the_thread_tells_of_a_report_by_itself(stage: Stage) -> None:
    client = stage.session(3)
    stage.relay.data(LABEL, client.rtp(1))
    stage.everything()  # the sighting
    stage.plane.start()
    stage.relay.data(LABEL, client.report(ssrc=0xB))
    assert wait(stage.plane)
    assert [type(event) for event in stage.plane.take()] == [ReportReceived]


def test_what_is_not_media_of_a_bound_label_comes_up_as_it_is(stage: Stage) -> None:
    stage.session(0)
    others = [b"\x00\x01stun", b"\x16dtls", b"", b"\xc0", b"\x7f"]
    stage.relay.send(
        *(encode_record(RecordType.DATA, 3, LABEL, payload) for payload in others),
        encode_record(RecordType.INTRO, 0, LABEL, b"\x80\x00"),
        encode_record(RecordType.UNKNOWN, 0, LABEL, b""),
        encode_record(RecordType.DATA, 0, LABEL + 1, b"\x80\x6f not bound"),
    )
    at = stage.relay.at
    assert stage.turn() == [
        *(RecordReceived(at, RecordType.DATA, 3, LABEL, payload) for payload in others),
        RecordReceived(at, RecordType.INTRO, 0, LABEL, b"\x80\x00"),
        RecordReceived(at, RecordType.UNKNOWN, 0, LABEL, b""),
        RecordReceived(at, RecordType.DATA, 0, LABEL + 1, b"\x80\x6f not bound"),
    ]


def test_records_of_any_length_come_whole(stage: Stage) -> None:
    for length in range(0, 60, 7):
        stage.relay.data(LABEL, bytes(length), bytes(length + 1))
    stage.relay.data(LABEL, bytes(MAX_LINK_DATAGRAM))
    lengths = [len(event.payload) for event in stage.turn() if isinstance(event, RecordReceived)]
    assert lengths == [n for length in range(0, 60, 7) for n in (length, length + 1)] + [
        MAX_LINK_DATAGRAM
    ]


@pytest.mark.parametrize(
    "rest", [b"x", b"\x01\x00\xff\xff\x00\x00\x05\x00short", b"\x05\x00\x00\x00\x00\x00\x00\x00"]
)
def test_a_malformed_rest_ends_a_datagram(stage: Stage, rest: bytes) -> None:
    good = encode_record(RecordType.DATA, 0, LABEL, b"\x16")
    stage.relay.send(good, rest, good)
    assert len(stage.turn()) == 1
    assert stage.dropped() == {DropReason.MALFORMED_LINK: 1}


def test_nobody_but_a_relay_is_heard(stage: Stage) -> None:
    client = stage.session(0)
    forger = Relay(stage.link)
    forger.data(LABEL, client.rtp(1), client.rtp(2), b"\x16")
    forger.sock.close()
    assert stage.turn() == []
    assert stage.dropped() == {DropReason.UNKNOWN_PEER: 1}
    assert stage.plane.counters.datagrams == 0


def test_packets_begin_anywhere_in_a_datagram(stage: Stage) -> None:
    """libsrtp wants them at multiples of four; records are of any length."""
    client = stage.session(0)
    payloads = [bytes([n]) * n for n in range(1, 12)]
    stage.relay.data(LABEL, *(client.rtp(n, payload=p) for n, p in enumerate(payloads)))
    assert [e.audio.payload for e in stage.turn() if isinstance(e, FrameReceived)] == payloads


# --- what is refused ------------------------------------------------------------------------------


def test_media_before_the_keys_and_of_other_keys(stage: Stage) -> None:
    client = peer(1)
    stage.plane.bind(stage.relay.label(LABEL), 1)
    stage.relay.data(LABEL, client.rtp(1))
    assert stage.turn() == []
    stage.session(1)
    stage.relay.data(LABEL, peer(2).rtp(1), client.rtp(2), peer(2).report())
    assert len(stage.turn()) == 1
    assert stage.dropped() == {DropReason.UNEXPECTED_STATE: 1, DropReason.SRTP_AUTHENTICATION: 2}


def test_repetitions_short_ones_long_ones_and_other_codecs(stage: Stage) -> None:
    client = stage.session(1)
    once = client.rtp(1)
    stage.relay.data(LABEL, once, once, b"\x80\x6f", bytes([0x80]) + bytes(MAX_PACKET))
    stage.relay.data(LABEL, client.rtp(2, type_=96), client.rtp(3, type_=0))
    assert [e.audio.payload_type for e in stage.turn() if isinstance(e, FrameReceived)] == [111, 0]
    assert stage.dropped() == {
        DropReason.SRTP_REPLAY: 1,
        DropReason.MALFORMED_RTP: 1,
        DropReason.OVERSIZE: 1,
        DropReason.UNKNOWN_PAYLOAD_TYPE: 1,
    }


def test_a_stream_that_does_not_receive_takes_nothing(stage: Stage) -> None:
    audio = AudioParameters("0", (OPUS,), sends=True, receives=False)
    client = stage.session(1, audio=audio)
    stage.relay.data(LABEL, client.rtp(1))
    assert stage.turn() == []
    assert stage.dropped() == {DropReason.UNKNOWN_PAYLOAD_TYPE: 1}


def test_sixteen_sources_and_no_more(stage: Stage) -> None:
    client = stage.session(1)
    stage.relay.data(LABEL, client.report(ssrc=99), *(client.rtp(1, ssrc=s) for s in range(20)))
    stage.relay.data(LABEL, client.rtp(2, ssrc=0), client.report(ssrc=99), client.report(ssrc=19))
    frames = [e.audio.ssrc for e in stage.turn() if isinstance(e, FrameReceived)]
    assert frames == [*range(15), 0]
    assert stage.dropped() == {DropReason.SOURCE_LIMIT: 6}


def test_only_authenticated_sources_count(stage: Stage) -> None:
    client, stranger = stage.session(1), peer(2)
    stage.relay.data(LABEL, *(stranger.rtp(1, ssrc=s) for s in range(100, 130)), client.rtp(1))
    assert len(stage.turn()) == 1
    assert stage.dropped() == {DropReason.SRTP_AUTHENTICATION: 30}


# --- labels ---------------------------------------------------------------------------------------


def test_a_label_is_bound_anew_and_let_go(stage: Stage) -> None:
    one, two = stage.session(1), stage.session(2)
    stage.relay.data(LABEL, two.rtp(1))
    assert [e.stream for e in stage.turn() if isinstance(e, FrameReceived)] == [2]
    stage.plane.bind(stage.relay.label(LABEL), 1)
    stage.relay.data(LABEL, one.rtp(1))
    assert [e.stream for e in stage.turn() if isinstance(e, FrameReceived)] == [1]
    stage.plane.unbind(stage.relay.label(LABEL))
    stage.relay.data(LABEL, one.rtp(2))
    (event,) = stage.turn()
    assert isinstance(event, RecordReceived)
    stage.plane.unbind(stage.relay.label(LABEL))  # nothing to do
    assert stage.turn() == []


def test_the_same_label_of_two_relays_is_two(stage: Stage) -> None:
    other = Relay(stage.link)
    stage.plane.hear([stage.relay.at, other.at])
    one = stage.session(1)
    two = peer(2)
    stage.plane.open(2, two.keys, AUDIO, 2, 0)
    stage.plane.bind(other.label(LABEL), 2)
    stage.turn()
    other.data(LABEL, two.rtp(1))
    stage.relay.data(LABEL, one.rtp(1))
    assert [e.stream for e in stage.turn() if isinstance(e, FrameReceived)] == [2, 1]
    other.sock.close()


def test_the_oldest_of_many_labels_makes_room(stage: Stage) -> None:
    client = stage.session(1)
    for n in range(1, 33):
        stage.plane.bind(stage.relay.label(LABEL + n), 1)
    stage.relay.data(LABEL, client.rtp(1))
    stage.relay.data(LABEL + 1, client.rtp(2))
    stage.relay.data(LABEL + 32, client.rtp(3))
    kinds = [type(event) for event in stage.turn()]
    assert kinds == [RecordReceived, FrameReceived, FrameReceived]


def test_labels_come_and_go_by_the_thousand(stage: Stage) -> None:
    """As a dictionary does it: the table has runs of entries, and removals in the middle of them."""
    chance = random.Random(7)
    bound: dict[int, int] = {}
    for _ in range(60):
        for _ in range(40):
            label = chance.randrange(400)
            stream = chance.randrange(MAX_STREAMS)
            if chance.random() < 0.5:
                stage.plane.unbind(stage.relay.label(label))
                bound.pop(label, None)
            elif list(bound.values()).count(stream) < 32:
                stage.plane.bind(stage.relay.label(label), stream)
                bound[label] = stream
        for label in range(400):
            stage.plane.receive(stage.relay.label(label), b"\x80")
        up = {event.label for event in stage.turn() if isinstance(event, RecordReceived)}
        assert up == set(range(400)) - set(bound)


def test_a_relay_that_is_none_any_more(stage: Stage) -> None:
    """Its labels and ways go, and do not come back with it; those of the others stay, and are found."""
    others = [Relay(stage.link) for _ in range(3)]
    client, kept = stage.session(1), peer(2)
    stage.plane.hear([*(other.at for other in others), stage.relay.at])
    stage.plane.open(2, kept.keys, AUDIO, 2, 0)
    stage.plane.bind(others[2].label(LABEL), 2)
    stage.plane.set_way(2, others[2].label(LABEL))
    stage.plane.forward(2, 2)
    stage.plane.forward(1, 1)
    stage.turn()
    stage.plane.hear([others[2].at])
    others[2].data(LABEL, kept.rtp(1))
    stage.relay.data(LABEL, client.rtp(1))
    assert stage.turn() == []
    assert len(others[2].records()) == 1
    assert stage.dropped() == {DropReason.UNKNOWN_PEER: 1}
    stage.plane.send_record(SendRecord(stage.relay.at, RecordType.FORGET, 0, LABEL, b""))
    stage.plane.hear([others[2].at, stage.relay.at])
    stage.plane.send(1, frame())
    stage.relay.data(LABEL, client.rtp(2))
    (event,) = stage.turn()
    assert isinstance(event, RecordReceived)
    unsent = {DropReason.UNKNOWN_FLOW: 1, DropReason.UNKNOWN_PEER: 1}
    assert dict(stage.plane.counters.unsent) == unsent
    for other in others:
        other.sock.close()


def test_ipv6_relays(ends: ExitStack) -> None:
    stage = Stage(ends, "::1")
    client = stage.session(1)
    stage.plane.forward(1, 1)
    stage.relay.data(LABEL, client.rtp(1), b"\x16")
    (event,) = stage.turn()
    assert event == RecordReceived(stage.relay.at, RecordType.DATA, 0, LABEL, b"\x16")
    (record,) = stage.relay.records()
    assert client.hears(record).payload == b"frame"


# --- out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_an_echo_is_new_to_the_bone(stage: Stage, profile: SrtpProfile) -> None:
    client = stage.session(3, profile=profile)
    stage.plane.forward(3, 3)
    stage.relay.data(LABEL, *(client.rtp(n, marker=n == 65535) for n in (65535, 65537, 65536)))
    assert stage.turn() == []
    heard = [client.hears(record) for record in stage.relay.records()]
    # The gap and the disorder of the source, in our numbers.
    assert [packet.sequence for packet in heard] == [100, 102, 101]
    assert [packet.marker for packet in heard] == [True, False, False]
    assert {(packet.ssrc, packet.payload_type, packet.payload) for packet in heard} == {
        (0x5003, 111, b"frame")
    }
    assert [p.timestamp for p in heard] == [n * 960 for n in (65535, 65537, 65536)]
    assert stage.plane.counters.forwarded == stage.plane.counters.records_out == 3


def test_csrcs_extension_and_padding_stay_behind(stage: Stage) -> None:
    client = stage.session(1)
    stage.plane.forward(1, 1)
    head = encode_rtp(RtpPacket(111, False, 5, 50, 9, b""))
    rest = bytes(8) + b"\xbe\xde\x00\x01abcd" + b"voice" + b"\x00\x00\x03"
    stage.relay.data(LABEL, client.protect(bytes([0xB2]) + head[1:] + rest))
    stage.turn()
    (record,) = stage.relay.records()
    plain = client.srtp.unprotect(bytes(record.payload))
    assert plain == encode_rtp(RtpPacket(111, False, 100, 50, 0x5001, b"voice"))


def test_forwarding_to_another_stream(stage: Stage) -> None:
    one, two = stage.session(1, LABEL), stage.session(2, LABEL + 1, sequence=7)
    stage.plane.forward(1, 2)
    stage.relay.data(LABEL, one.rtp(50), one.rtp(53))
    stage.relay.data(LABEL + 1, two.rtp(1))
    (event,) = stage.turn()
    assert isinstance(event, FrameReceived)
    assert event.stream == 2
    records = stage.relay.records()
    assert [record.label for record in records] == [LABEL + 1] * 2
    assert [two.hears(record).sequence for record in records] == [7, 10]
    stats = stage.plane.stats(2)
    assert (stats.packets_out, stats.octets_out, stats.payload_type_out) == (2, 10, 111)


def test_another_source_goes_on_after_what_was_sent(stage: Stage) -> None:
    client = stage.session(1)
    stage.plane.forward(1, 1)
    stage.relay.data(LABEL, client.rtp(10), client.rtp(12))
    stage.turn()
    stage.now += 1.0
    stage.relay.data(LABEL, client.rtp(9000, ssrc=0xB), client.rtp(9001, ssrc=0xB))
    # What came late of the old source is a source again; its numbers are not those of before.
    stage.relay.data(LABEL, client.rtp(11))
    stage.turn()
    heard = [client.hears(record) for record in stage.relay.records()]
    assert [packet.sequence for packet in heard] == [100, 102, 103, 104, 105]
    assert heard[2].timestamp == heard[1].timestamp + 48000
    assert heard[3].timestamp == heard[2].timestamp + 960


def test_a_jump_of_the_source_does_not_end_the_stream(stage: Stage) -> None:
    """libsrtp takes a number half a circle ahead for one of the past, and refuses it."""
    client = stage.session(1)
    stage.plane.forward(1, 1)
    numbers = [10, 11, 20000, 20001, 60000, 60001, 60001 + 2999]
    stage.relay.data(LABEL, *(client.rtp(n, ssrc=0xA + (n > 50000)) for n in numbers))
    stage.turn()
    heard = [client.hears(record).sequence for record in stage.relay.records()]
    assert heard == [100, 101, 102, 103, 104, 105, 105 + 2999]


def test_no_number_is_used_twice(stage: Stage) -> None:
    """A late packet of before a change would have the number of another: it goes nowhere."""
    client = stage.session(1)
    stage.plane.forward(1, 1)
    stage.relay.data(LABEL, client.rtp(10), client.rtp(11))
    stage.turn()
    stage.plane.send(1, frame())
    stage.relay.data(LABEL, client.rtp(20), client.rtp(19))
    stage.turn()
    heard = [client.hears(record).sequence for record in stage.relay.records()]
    assert heard == [100, 101, 102, 103]
    assert dict(stage.plane.counters.undelivered) == {DropReason.SRTP_REPLAY: 1}


def test_a_target_that_cannot(stage: Stage) -> None:
    client = stage.session(1)
    plane = stage.plane
    plane.open(2, peer(2).keys, AudioParameters("0", (PCMU,), sends=True, receives=True), 2, 0)
    plane.forward(1, 2)
    stage.relay.data(LABEL, client.rtp(1), client.rtp(2, type_=0))
    assert stage.turn() == []
    plane.set_way(2, stage.relay.label(LABEL + 1))
    plane.close(2)
    stage.relay.data(LABEL, client.rtp(3))
    assert stage.turn() == [StreamClosed(2)]
    # Whoever comes after it under its number is somebody else.
    plane.open(2, peer(3).keys, AUDIO, 3, 0)
    plane.set_way(2, stage.relay.label(LABEL + 1))
    stage.relay.data(LABEL, client.rtp(4))
    assert stage.turn() == []
    assert dict(plane.counters.undelivered) == {
        DropReason.UNKNOWN_PAYLOAD_TYPE: 1,
        DropReason.UNKNOWN_FLOW: 1,
        DropReason.UNKNOWN_SESSION: 2,
    }
    plane.forward(1, None)
    stage.relay.data(LABEL, client.rtp(5))
    assert len(stage.turn()) == 1


def test_frames_and_reports_of_ours(stage: Stage) -> None:
    client = stage.session(1, sequence=65535)
    stage.plane.send(1, SendAudio(b"one", 2**32 + 5, 111, marker=True))
    stage.plane.send(1, frame(b"two", 0))
    stage.plane.send_report(1, b"\x80\xc9\x00\x01\x00\x00\x50\x01")
    stage.turn()
    one, two, report = stage.relay.records()
    assert client.hears(one) == RtpPacket(111, True, 65535, 5, 0x5001, b"one")
    assert client.hears(two) == RtpPacket(0, False, 0, 7, 0x5001, b"two")
    plain = client.srtp.unprotect_rtcp(bytes(report.payload))
    assert plain == b"\x80\xc9\x00\x01\x00\x00\x50\x01"
    stats = stage.plane.stats(1)
    assert (stats.packets_out, stats.octets_out, stats.timestamp_out) == (2, 6, 7)
    assert stats.sent_at == stage.now


def test_what_cannot_leave_is_counted(stage: Stage) -> None:
    stage.session(1)
    plane = stage.plane
    plane.send(1, frame(type_=96))
    plane.send(1, frame(type_=300))
    plane.send(1, frame(bytes(1469)))
    plane.send(1, frame(bytes(5000)))
    plane.send(2, frame())
    plane.send_report(2, bytes(8))
    plane.send_report(1, bytes(1481))
    plane.send_report(1, b"\x80\xc9")
    plane.set_way(1, None)
    plane.send(1, frame())
    plane.send_report(1, bytes(8))
    stage.turn()
    assert stage.relay.records() == []
    assert dict(plane.counters.unsent) == {
        DropReason.UNKNOWN_PAYLOAD_TYPE: 2,
        DropReason.OVERSIZE: 3,
        DropReason.UNEXPECTED_STATE: 2,
        DropReason.SRTP_AUTHENTICATION: 1,
        DropReason.UNKNOWN_FLOW: 2,
    }


def test_the_longest_frame_that_leaves(stage: Stage) -> None:
    client = stage.session(1)
    stage.plane.send(1, frame(bytes(1468)))
    stage.turn()
    (record,) = stage.relay.records()
    assert client.hears(record).payload == bytes(1468)


def test_records_share_datagrams_up_to_the_mtu(stage: Stage) -> None:
    client = stage.session(1)
    stage.plane.forward(1, 1)
    sizes = [100, 1, 900, 400, 1200, 1300, 3, 5]
    for size in sizes:
        payload = bytes([size % 251]) * size
        stage.plane.send_record(SendRecord(stage.relay.at, RecordType.DATA, 2, size, payload))
    stage.relay.data(LABEL, client.rtp(1))
    stage.turn()
    datagrams = stage.relay.datagrams()
    media = 8 + 12 + 5 + 16
    assert [len(d) for d in datagrams] == [
        3 * 8 + 1001, 8 + 400, 8 + 1200, 8 + 1300, 2 * 8 + 8 + media
    ]  # fmt: skip


def test_far_more_than_one_send_takes(stage: Stage) -> None:
    """More datagrams than one system call has, and more records than a datagram has room for."""
    large = [SendRecord(stage.relay.at, RecordType.DATA, 1, n, bytes(1000)) for n in range(150)]
    small = [SendRecord(stage.relay.at, RecordType.FORGET, 0, n, b"") for n in range(300)]
    for record in large + small:
        stage.plane.send_record(record)
    stage.turn()
    assert [r.label for r in stage.relay.records()] == [*range(150), *range(300)]
    assert stage.plane.counters.records_out == 450


def test_a_relay_that_is_gone(ends: ExitStack) -> None:
    """On loopback the second send learns of the port that is closed."""
    stage = Stage(ends)
    client = stage.session(1)
    stage.plane.forward(1, 1)
    gone = Relay(stage.link)
    gone.sock.close()
    plane = stage.plane
    plane.hear([stage.relay.at, Endpoint("255.255.255.255", 9)])
    broadcast = LinkLabel(Endpoint("255.255.255.255", 9), 1)
    plane.set_way(1, broadcast)
    plane.send(1, frame())
    stage.relay.data(LABEL, client.rtp(1), client.rtp(2))
    stage.turn()
    assert dict(plane.counters.unsent) == {DropReason.SEND_REFUSED: 1}
    assert dict(plane.counters.undelivered) == {DropReason.SEND_REFUSED: 2}
    assert plane.counters.forwarded == plane.counters.records_out == 0


# --- sightings ------------------------------------------------------------------------------------


def test_the_first_media_of_a_binding_is_told(stage: Stage) -> None:
    client = stage.session(1)
    at = stage.relay.label(LABEL)
    stage.relay.data(LABEL, peer(9).rtp(1), client.rtp(1), client.rtp(2))
    assert stage.seen() == [MediaSeen(1, at, stage.now, stage.now)]
    stage.relay.data(LABEL, client.rtp(3))
    assert stage.seen() == []
    stage.plane.bind(at, 1)
    stage.relay.data(LABEL, client.report())
    assert stage.seen() == [MediaSeen(1, at, stage.now, stage.now)]


def test_media_by_another_way_is_told_again_and_again(stage: Stage) -> None:
    client = stage.session(1)
    way, other = stage.relay.label(LABEL), stage.relay.label(LABEL + 1)
    stage.plane.bind(other, 1)
    stage.relay.data(LABEL, client.rtp(1))
    last_by_way = stage.now
    assert stage.seen() == [MediaSeen(1, way, stage.now, stage.now)]
    for told, after in [(True, 1.0), (False, SEEN_EVERY / 2), (True, SEEN_EVERY * 0.6), (False, 0)]:
        stage.now += after
        stage.relay.data(LABEL + 1, client.rtp(int(stage.now * 1000) % 60000 + (not after)))
        expected = [MediaSeen(1, other, stage.now, last_by_way)] if told else []
        assert stage.seen() == expected
    stage.plane.set_way(1, other)
    stage.now += 1.0
    stage.relay.data(LABEL + 1, client.rtp(int(stage.now * 1000) % 60000))
    assert stage.seen() == []


# --- figures --------------------------------------------------------------------------------------


def test_figures_of_a_stream(stage: Stage) -> None:
    client = stage.session(1)
    stage.relay.data(LABEL, client.rtp(10, payload=b"12345"))
    stage.turn()
    stage.now += 0.05
    stage.relay.data(LABEL, client.rtp(12, payload=b"123"))
    stage.turn()
    stats = stage.plane.stats(1)
    assert stats._replace(jitter=0) == StreamStats(
        packets_in=2, octets_in=8, expected=3, lost=1, source=0xA, highest=12, payload_type=111,
        received_at=stage.now,
    )  # fmt: skip
    assert stats.jitter == pytest.approx((0.05 - 2 * 960 / 48000) / 16)
    stage.plane.close(1)
    stage.turn()
    assert stage.plane.stats(1) == StreamStats()


@pytest.mark.parametrize("stream", [-1, MAX_STREAMS, 2**32])
def test_there_are_only_so_many_streams(stage: Stage, stream: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        stage.plane.stats(stream)
    with pytest.raises(ValueError, match="no stream"):
        stage.plane.close(stream)


# --- life -----------------------------------------------------------------------------------------


def test_closing_is_the_last_of_a_stream_and_the_first_of_the_next(stage: Stage) -> None:
    """Under the same number, in flight."""
    client = stage.session(1)
    stage.relay.data(LABEL, client.rtp(1), client.rtp(2))
    assert [type(event) for event in stage.turn()] == [FrameReceived, FrameReceived]
    for _ in range(3):
        stage.plane.close(1)
        client = stage.session(1)
    stage.relay.data(LABEL, client.rtp(1))
    kinds = [type(event) for event in stage.turn()]
    assert kinds == [StreamClosed, StreamClosed, StreamClosed, FrameReceived]
    assert stage.plane.stats(1).packets_in == 1


def test_a_stream_that_never_opened_closes_too(stage: Stage) -> None:
    stage.plane.bind(stage.relay.label(LABEL), 4)
    stage.plane.close(4)
    assert stage.turn() == [StreamClosed(4)]
    stage.relay.data(LABEL, b"\x80\x6f")
    (event,) = stage.turn()
    assert isinstance(event, RecordReceived)


def test_an_open_stream_is_not_opened_again(stage: Stage) -> None:
    stage.session(1)
    with pytest.raises(ValueError, match="open already"):
        stage.session(1)


def test_media_of_an_intro(stage: Stage) -> None:
    client = stage.session(1)
    stage.plane.receive(stage.relay.label(LABEL), client.rtp(1))
    stage.plane.receive(stage.relay.label(LABEL + 1), client.rtp(2))
    stage.plane.receive(LinkLabel(Endpoint("127.0.0.9", 9), LABEL), client.rtp(3))
    kinds = [type(event) for event in stage.turn()]
    assert kinds == [FrameReceived, RecordReceived]
    assert stage.dropped() == {DropReason.UNKNOWN_PEER: 1}


# --- bounds ---------------------------------------------------------------------------------------


def test_no_client_crowds_out_another(stage: Stage) -> None:
    greedy, modest = stage.session(1, LABEL), stage.session(2, LABEL + 1)
    for n in range(0, 400, 4):
        stage.relay.data(LABEL, *(greedy.rtp(n + i) for i in range(4)))
        stage.relay.data(LABEL, *[b"\x16"] * 4)
    stage.relay.data(LABEL + 1, modest.rtp(1), b"\x16")
    stage.plane.flush()
    for _ in range(4):
        stage.plane.turn(stage.now)
    events = stage.turn()
    of = [e.stream for e in events if isinstance(e, FrameReceived)]
    assert (of.count(1), of.count(2)) == (STREAM_FRAMES, 1)
    labels = [e.label for e in events if isinstance(e, RecordReceived)]
    assert (labels.count(LABEL), labels.count(LABEL + 1)) == (STREAM_RECORDS, 1)
    assert dict(stage.plane.counters.undelivered) == {DropReason.QUEUE_FULL: 400 - STREAM_FRAMES}
    assert stage.dropped() == {DropReason.QUEUE_FULL: 400 - STREAM_RECORDS}
    # And what it was given back it may use again.
    stage.relay.data(LABEL, greedy.rtp(500), b"\x16")
    assert len(stage.turn()) == 2


def test_records_that_nobody_takes_leave_room_for_frames(stage: Stage) -> None:
    client = stage.session(1)
    for _ in range(40):
        stage.relay.data(0x999, bytes(60_000))
        stage.plane.flush()
        stage.plane.turn(stage.now)
    assert stage.dropped()[DropReason.QUEUE_FULL] > 10
    stage.relay.data(LABEL, client.rtp(1))
    stage.plane.close(1)
    stage.plane.turn(stage.now)
    events: list[PlaneEvent] = []
    while batch := stage.turn():
        events += batch
    records = sum(isinstance(event, RecordReceived) for event in events)
    assert records == stage.plane.counters.raised == 40 - stage.dropped()[DropReason.QUEUE_FULL]
    assert [type(event) for event in events[records:]] == [FrameReceived, StreamClosed]


def test_every_end_is_told_though_the_ring_be_full(stage: Stage) -> None:
    for _ in range(4):
        for stream in range(MAX_STREAMS):
            stage.plane.close(stream)
    for _ in range(40):
        stage.relay.data(0x999, bytes(60_000))
        stage.plane.turn(stage.now)
    stage.plane.flush()
    stage.plane.turn(stage.now)
    closed = []
    while batch := stage.turn():
        closed += [event.stream for event in batch if isinstance(event, StreamClosed)]
    assert sorted(closed) == sorted([*range(MAX_STREAMS)] * 4)


def test_commands_are_never_lost_and_frames_may_be(stage: Stage) -> None:
    """More than the ring holds, without anybody who empties it."""
    client = stage.session(1)
    for _ in range(3000):
        stage.plane.send(1, frame(bytes(1000)))
    stage.plane.flush()
    for n in range(1500):
        record = SendRecord(stage.relay.at, RecordType.DATA, 0, 0x1000 + n, bytes(1200))
        stage.plane.send_record(record)
    stage.plane.flush()
    stage.plane.bind(stage.relay.label(LABEL + 1), 1)
    labels: list[int] = []
    came = [0]
    while came:
        stage.plane.flush()
        stage.plane.turn(stage.now)
        came = [record.label for record in stage.relay.records()]
        labels += came
    counters = stage.plane.counters
    frames = 3000 - counters.unsent[DropReason.QUEUE_FULL]
    assert 500 < frames < 1000
    assert counters.unsent.total() == 3000 - frames
    assert counters.records_out == frames + 1500
    # The relay's socket holds less than all of them, but the order is theirs, and the last one is there.
    records = [label for label in labels if label != LABEL]
    assert records == sorted(records)
    assert records[-1] == 0x1000 + 1499
    stage.relay.data(LABEL + 1, client.rtp(1))
    assert len(stage.turn()) == 1


# --- the thread -----------------------------------------------------------------------------------


def test_the_thread_wakes_and_is_woken(stage: Stage) -> None:
    client = stage.session(1)
    plane = stage.plane
    plane.flush()
    plane.start()
    for n in range(50):
        stage.relay.data(LABEL, client.rtp(n))
        frames: list[PlaneEvent] = []
        while not frames:
            assert wait(plane)
            frames = [event for event in plane.take() if isinstance(event, FrameReceived)]
        plane.send(1, frame(b"%d" % n))
        plane.flush()
        assert select.select([stage.relay.sock], [], [], 5)[0]
        (record,) = stage.relay.records()
        assert client.hears(record).payload == b"%d" % n


def test_a_full_ring_of_commands_calls_python_back(ends: ExitStack) -> None:
    stage = Stage(ends)
    plane = stage.plane
    for n in range(3000):
        plane.send_record(SendRecord(stage.relay.at, RecordType.DATA, 0, n, bytes(1000)))
    plane.close(1)
    plane.flush()
    plane.start()
    plane.flush()
    events: list[PlaneEvent] = []
    while not events:
        assert wait(plane)
        events = plane.take()
    assert events == [StreamClosed(1)]


def test_a_rest_is_over_when_a_round_is_that_begins_late_enough(stage: Stage) -> None:
    until = time.monotonic() + 1000
    resting = threading.Thread(target=stage.plane.rest, args=(until,))
    resting.start()
    stage.plane.turn(until - 0.001)
    resting.join(0.05)
    assert resting.is_alive()
    while resting.is_alive():
        stage.plane.turn(until)
        resting.join(0.01)


def test_a_rest_is_over_though_there_is_no_round(stage: Stage) -> None:
    stage.plane.rest(time.monotonic())
    stage.plane.rest(time.monotonic() + 0.001)
    stage.plane.turn(time.monotonic() + 1)  # it leaves nothing for the next one
    resting = threading.Thread(target=stage.plane.rest, args=(time.monotonic() + 1000,))
    resting.start()
    resting.join(0.05)
    assert resting.is_alive()
    while resting.is_alive():
        stage.plane.turn(time.monotonic() + 2000)
        resting.join(0.01)


def test_the_thread_ends_a_rest_with_what_has_come(stage: Stage) -> None:
    client = stage.session(1)
    stage.relay.data(LABEL, client.rtp(1))
    stage.everything()
    stage.plane.start()
    stage.relay.data(LABEL, client.rtp(2))
    events: list[PlaneEvent] = []
    while not events:
        stage.plane.rest(time.monotonic())
        events = stage.plane.take()
    assert [type(event) for event in events] == [FrameReceived]


def test_a_signal_ends_a_rest(stage: Stage) -> None:
    came = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: came.set())
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(0.005):
            os.kill(os.getpid(), signal.SIGUSR1)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    stage.plane.rest(time.monotonic() + 1000)
    over.set()
    disturbing.join()
    signal.signal(signal.SIGUSR1, before)
    assert came.is_set()


def test_stopping_while_traffic_flows(stage: Stage) -> None:
    """What was asked for is done; then the sockets and keys are left alone."""
    client = stage.session(1)
    plane = stage.plane
    plane.forward(1, 1)
    plane.flush()
    plane.start()
    going = threading.Event()

    def flood() -> None:
        number = 0
        while not going.is_set():
            stage.relay.data(LABEL, client.rtp(number), b"\x16")
            number = number + 1 & 0xFFFF

    flooding = threading.Thread(target=flood)
    flooding.start()
    for _ in range(20):
        wait(plane)
        plane.take()
    for n in range(2000):
        plane.send_record(SendRecord(stage.relay.at, RecordType.FORGET, 0, n, bytes(1000)))
    plane.close(1)
    plane.stop()
    going.set()
    flooding.join()
    stopped = plane.counters
    assert stopped.conserved()
    assert stopped.records_out + stopped.unsent.total() - stopped.forwarded == 2000
    stage.relay.data(LABEL, b"\x16")
    plane.send_record(SendRecord(stage.relay.at, RecordType.FORGET, 0, 1, b""))
    plane.flush()
    plane.stop()
    assert plane.counters == stopped
    events = []
    while batch := plane.take():
        events += batch
    assert StreamClosed(1) in events


def test_a_plane_that_is_forgotten_ends_before_its_keys_do(ends: ExitStack) -> None:
    link = udp()
    ends.callback(link.close)
    relay = Relay(link)
    ends.callback(relay.sock.close)
    for _ in range(5):
        plane = NativePlane(link, mtu=MTU, peers=[relay.at], max_streams=MAX_STREAMS)
        client = peer(1)
        plane.open(1, client.keys, AUDIO, 1, 0)
        plane.bind(relay.label(LABEL), 1)
        plane.flush()
        plane.start()
        relay.data(LABEL, client.rtp(1))
        end = plane._end
        del plane
        gc.collect()
        assert not end.alive


def test_the_clock_of_the_shell(ends: ExitStack) -> None:
    stage = Stage(ends)
    plane = stage.another_plane(ends, clock_offset=5e5)
    plane.turn(stage.now)
    client = peer(1)
    plane.open(1, client.keys, AUDIO, 1, 0)
    plane.bind(stage.relay.label(LABEL), 1)
    plane.flush()
    stage.relay.data(LABEL, client.rtp(1))
    plane.turn(stage.now)
    assert {e.at for e in plane.take() if isinstance(e, FrameReceived)} == {stage.now + 5e5}


def test_what_is_no_socket(ends: ExitStack, tmp_path: Any) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(MemoryError):
        NativePlane(file, mtu=MTU, peers=[], max_streams=1)
    sock = ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    with pytest.raises(MemoryError):
        NativePlane(sock, mtu=MTU, peers=[], max_streams=1)
