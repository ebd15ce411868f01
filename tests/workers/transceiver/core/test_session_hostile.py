"""A session and people who mean it harm: nothing raises, nothing grows, nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from ipc.messages.sessions import CloseReason
from tests.support.sessions import CLIENT, SERVER, End, Pair, is_dtls
from workers.transceiver.core.audio import MAX_SOURCES
from workers.transceiver.core.interface import (
    CloseSession,
    DatagramReceived,
    Dropped,
    Path,
    SendDatagram,
    SessionClosed,
)
from workers.transceiver.core.srtp import Srtp
from workers.transceiver.core.states import SessionState
from workers.wire.rtcp import Goodbye, ReceiverReport, encode_rtcp
from workers.wire.rtp import RtpPacket, encode_rtp
from workers.wire.types import DropReason

STRANGER = Path(Transport.UDP, Endpoint("203.0.113.5", 9), SERVER)


def waiting() -> Pair:
    return Pair(fate=lambda sender, datagram: ())


def checking() -> Pair:
    pair = Pair(fate=lambda sender, datagram: () if is_dtls(datagram) else (0.01,))
    pair.run(0.1)
    assert pair.server.state is SessionState.CHECKING
    return pair


def connected() -> Pair:
    return Pair().connect()


def closed() -> Pair:
    pair = connected()
    pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    return pair


STATES = [waiting, checking, connected, closed]


def frames() -> st.SearchStrategy[bytes]:
    """Bytes that begin like something."""
    begin = st.sampled_from(
        [
            b"",
            b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12),
            b"\x01\x01\x00\x08\x21\x12\xa4\x42" + bytes(12),
            b"\x80\x6f",
            b"\x80\xc8",
            b"\x17\xfe\xfd\x00\x01",
        ]
    )
    return st.builds(bytes.__add__, begin, st.binary(max_size=100))


@pytest.mark.parametrize("make", STATES)
@settings(max_examples=150, deadline=None)
@given(datagrams=st.lists(frames(), min_size=1, max_size=20), known=st.booleans())
def test_any_bytes_in_any_state_are_dropped(
    make: Callable[[], Pair], datagrams: list[bytes], known: bool
) -> None:
    pair = SHARED[make]
    before = pair.server.state
    for datagram in datagrams:
        path = pair.server_path if known else STRANGER
        outputs = pair.server.handle(DatagramReceived(path, datagram), pair.now)
        assert all(isinstance(output, (Dropped, SendDatagram)) for output in outputs)
    assert pair.server.state is before
    assert len(pair.server.session._paths.values()) <= 2


SHARED = {make: make() for make in STATES}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300).map(lambda body: b"\x16\xfe\xfd" + body))
def test_plausible_handshake_junk_never_raises(datagram: bytes) -> None:
    pair = checking()
    pair.inject(End.SERVER, pair.server_path, datagram)
    pair.run(1)
    assert pair.server.state in (SessionState.CHECKING, SessionState.CLOSED)


def test_a_flood_of_garbage_changes_nothing_and_is_counted() -> None:
    pair = Pair().connect()
    junk = [bytes((first,)) + bytes(40) for first in range(256)] + [b"", bytes(1501)]
    for datagram in junk * 4:
        for path in (pair.server_path, STRANGER):
            outputs = pair.inject(End.SERVER, path, datagram)
            assert len(outputs) == 1
    assert sum(pair.drops(End.SERVER).values()) == len(junk) * 8
    pair.speak(End.CLIENT, b"unmoved")
    pair.run(1)
    assert pair.heard(End.SERVER) == [b"unmoved"]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", DropReason.EMPTY),
        (bytes(1501), DropReason.OVERSIZE),
        (b"\x00" * 20, DropReason.MALFORMED_STUN),
        (b"\x05" * 20, DropReason.UNKNOWN_KIND),
        (b"\xff" * 20, DropReason.UNKNOWN_KIND),
        (b"\x16" * 20, DropReason.UNVERIFIED_PATH),
        (b"\x80" * 20, DropReason.UNVERIFIED_PATH),
    ],
)
def test_each_kind_of_junk_has_its_reason(datagram: bytes, reason: DropReason) -> None:
    pair = Pair().connect()
    assert pair.inject(End.SERVER, STRANGER, datagram) == [Dropped(reason)]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"\x16" * 20, DropReason.MALFORMED_DTLS),
        (b"\x80", DropReason.MALFORMED_RTP),
        (b"\x80" * 11, DropReason.MALFORMED_RTP),
        (b"\x80" * 40, DropReason.SRTP_AUTHENTICATION),
        (b"\x80\xc8" * 20, DropReason.SRTP_AUTHENTICATION),
    ],
)
def test_junk_on_the_right_path_has_its_reason(datagram: bytes, reason: DropReason) -> None:
    pair = Pair().connect()
    assert pair.inject(End.SERVER, pair.server_path, datagram) == [Dropped(reason)]


def test_a_replayed_packet_is_heard_once() -> None:
    pair = Pair().connect()
    datagram = pair.speak(End.CLIENT, b"once")
    pair.run(0.1)
    assert pair.inject(End.SERVER, pair.server_path, datagram) == [Dropped(DropReason.SRTP_REPLAY)]
    assert pair.heard(End.SERVER) == [b"once"]


def test_a_packet_with_one_bit_changed_is_not_heard() -> None:
    pair = Pair(fate=lambda sender, datagram: (0.01,)).connect()
    pair.fate = lambda sender, datagram: ()
    datagram = bytearray(pair.speak(End.CLIENT))
    datagram[20] ^= 1
    assert pair.inject(End.SERVER, pair.server_path, bytes(datagram)) == [
        Dropped(DropReason.SRTP_AUTHENTICATION)
    ]


def test_media_before_the_keys_is_dropped() -> None:
    pair = checking()
    assert pair.inject(End.SERVER, pair.server_path, b"\x80" + bytes(40)) == [
        Dropped(DropReason.UNEXPECTED_STATE)
    ]


def peer_srtp(pair: Pair) -> Srtp:
    """What the client encrypts with, for packets that no honest client would send."""
    keys = pair.client.session._dtls.keys
    assert keys is not None
    return Srtp(keys)


def protected(result: bytes | DropReason) -> bytes:
    assert isinstance(result, bytes)
    return result


def test_a_peer_may_use_so_many_sources_and_no_more() -> None:
    pair = Pair().connect()
    srtp = peer_srtp(pair)
    for ssrc in range(MAX_SOURCES + 5):
        datagram = protected(srtp.protect(encode_rtp(RtpPacket(111, False, 1, 1, ssrc, b"x"))))
        pair.inject(End.SERVER, pair.server_path, datagram)
    assert len(pair.heard(End.SERVER)) == MAX_SOURCES
    assert pair.drops(End.SERVER) == {DropReason.SOURCE_LIMIT: 5}


def test_authenticated_nonsense_is_dropped_too() -> None:
    pair = Pair().connect()
    srtp = peer_srtp(pair)
    unknown = protected(srtp.protect(encode_rtp(RtpPacket(96, False, 1, 1, 5, b"x"))))
    padded = protected(
        srtp.protect(b"\xa0" + encode_rtp(RtpPacket(111, False, 2, 1, 5, b"\x99"))[1:])
    )
    assert pair.inject(End.SERVER, pair.server_path, unknown) == [
        Dropped(DropReason.UNKNOWN_PAYLOAD_TYPE)
    ]
    assert pair.inject(End.SERVER, pair.server_path, padded) == [Dropped(DropReason.MALFORMED_RTP)]


def test_a_bye_is_noted_and_broken_rtcp_is_dropped() -> None:
    pair = Pair().connect()
    srtp = peer_srtp(pair)
    report = encode_rtcp([ReceiverReport(0)])
    bye = encode_rtcp([Goodbye((0,))])
    assert (
        pair.inject(End.SERVER, pair.server_path, protected(srtp.protect_rtcp(report + bye))) == []
    )
    assert pair.server.session.reports.gone == 0
    assert pair.server.stats.reports_in == 1
    broken = protected(srtp.protect_rtcp(report + b"\x80\xcb\x00\x09"))
    assert pair.inject(End.SERVER, pair.server_path, broken) == [Dropped(DropReason.MALFORMED_RTP)]


def test_application_data_without_a_data_section_has_nowhere_to_go() -> None:
    pair = Pair().connect()
    (record,) = pair.client.session._dtls.send(b"SCTP")
    assert pair.inject(End.SERVER, pair.server_path, record) == [Dropped(DropReason.UNSUPPORTED)]


def test_a_close_notify_from_the_peer_is_the_end() -> None:
    pair = Pair().connect()
    (record,) = pair.client.session._dtls.close()
    outputs = pair.inject(End.SERVER, pair.server_path, record)
    assert outputs[-1] == SessionClosed(CloseReason.PEER_CLOSED)


def test_a_close_notify_that_was_not_encrypted_is_nothing() -> None:
    pair = Pair().connect()
    alert = bytes.fromhex("15fefd000000000000000900020100")
    pair.inject(End.SERVER, pair.server_path, alert)
    assert pair.connected


def test_the_client_is_as_hard_to_upset() -> None:
    pair = Pair().connect()
    for first in range(256):
        pair.inject(End.CLIENT, pair.client_path, bytes((first,)) + bytes(40))
        pair.inject(End.CLIENT, Path(Transport.UDP, CLIENT, CLIENT), bytes((first,)) + bytes(40))
    assert pair.connected
