"""A session's life against a second one: the playbook."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from ipc.messages.sessions import CloseReason
from tests.support.sessions import OPUS, PCMU, End, Pair, identity, is_dtls
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseSession,
    DatagramReceived,
    Dropped,
    DtlsRole,
    Fingerprint,
    PathSelected,
    SendAudio,
    SendDatagram,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.srtp import SrtpProfile
from workers.transceiver.core.states import SessionState
from workers.wire.types import DropReason


@pytest.mark.parametrize("profile", list(SrtpProfile))
@pytest.mark.parametrize("client_dtls", list(DtlsRole))
def test_two_sessions_connect_and_hear_each_other(
    profile: SrtpProfile, client_dtls: DtlsRole
) -> None:
    pair = Pair(profiles=(profile,), client_dtls=client_dtls).connect()
    pair.speak(End.CLIENT, b"hello")
    pair.speak(End.SERVER, b"hello yourself")
    pair.run(1)
    assert pair.heard(End.SERVER) == [b"hello"]
    assert pair.heard(End.CLIENT) == [b"hello yourself"]
    assert not pair.drops(End.CLIENT)
    assert not pair.drops(End.SERVER)


def test_states_come_in_order_and_once() -> None:
    pair = Pair().connect()
    for end in End:
        assert [output.state for output in pair.outputs(end, StateChanged)] == [
            SessionState.CHECKING,
            SessionState.CONNECTED,
        ]
    assert pair.outputs(End.SERVER, PathSelected) == [PathSelected(pair.server_path)]


def test_it_connects_over_ipv6() -> None:
    Pair(
        client_address=Endpoint("2001:db8::1", 4000), server_address=Endpoint("2001:db8::2", 3478)
    ).connect()


def test_it_connects_in_three_round_trips() -> None:
    pair = Pair()
    pair.run_until(lambda: pair.connected)
    assert pair.now == pytest.approx(0.06)


def test_every_datagram_of_a_handshake_fits_the_mtu() -> None:
    pair = Pair().connect()
    assert max(len(datagram) for _, _, datagram in pair.sent) <= 1200


def test_only_answers_to_verified_checks_are_assured_and_proof_is_told() -> None:
    pair = Pair().connect()
    pair.run(10)
    sends = pair.outputs(End.SERVER, SendDatagram)
    assured = [output for output in sends if output.assured]
    assert all(output.datagram[:2] == b"\x01\x01" for output in assured)
    assert not assured[0].proven
    assert assured[-1].proven
    assert not any(output.assured for output in sends if is_dtls(output.datagram))


def test_a_frame_keeps_its_marks() -> None:
    pair = Pair().connect()
    pair.do(End.CLIENT, SendAudio(b"a", 2**32 + 5, PCMU.payload_type, marker=True))
    pair.run(0.1)
    (heard,) = pair.outputs(End.SERVER, AudioReceived)
    assert (heard.payload, heard.payload_type, heard.timestamp, heard.marker) == (b"a", 0, 5, True)
    assert pair.server.stats.payload_type == PCMU.payload_type


def test_it_speaks_as_the_source_that_the_peer_was_told_of() -> None:
    pair = Pair(client_ssrc=0x01020304).connect()
    pair.speak(End.CLIENT)
    pair.run(0.1)
    assert pair.outputs(End.SERVER, AudioReceived)[0].ssrc == 0x01020304


def test_a_session_counts_what_it_hears() -> None:
    pair = Pair().connect()
    pair.fate = lambda sender, datagram: () if pair.client.stats.packets_out % 10 == 0 else (0.01,)
    for index in range(100):
        pair.speak(End.CLIENT, timestamp=index * 960)
        pair.run(0.02)
    pair.fate = lambda sender, datagram: (0.01,)
    pair.speak(End.CLIENT, timestamp=100 * 960)
    pair.run(0.02)
    assert (pair.client.stats.packets_out, pair.server.stats.packets_in) == (101, 91)
    assert (pair.server.stats.expected, pair.server.stats.lost) == (101, 10)
    assert pair.server.stats.jitter < 0.001
    assert pair.server.stats.payload_type == OPUS.payload_type


def test_the_controlling_side_measures_the_round_trip() -> None:
    pair = Pair().connect()
    pair.run(12)
    assert pair.client.session.round_trip == pytest.approx(0.02, abs=1e-3)
    assert pair.server.session.round_trip == pytest.approx(0.02, abs=1e-3)


def test_nothing_is_sent_before_there_are_keys() -> None:
    pair = Pair()
    assert pair.do(End.SERVER, SendAudio(b"", 0, 111)) == [Dropped(DropReason.UNEXPECTED_STATE)]
    assert pair.do(End.CLIENT, SendAudio(b"", 0, 111)) == [Dropped(DropReason.UNEXPECTED_STATE)]


def test_only_negotiated_codecs_are_sent() -> None:
    pair = Pair().connect()
    unknown = [Dropped(DropReason.UNKNOWN_PAYLOAD_TYPE)]
    assert pair.do(End.SERVER, SendAudio(b"", 0, 96)) == unknown


def test_a_frame_that_fits_no_datagram_is_not_sent() -> None:
    pair = Pair().connect()
    assert pair.do(End.SERVER, SendAudio(bytes(1500), 0, 111)) == [Dropped(DropReason.OVERSIZE)]


def test_hanging_up_tells_the_peer() -> None:
    pair = Pair().connect()
    outputs = pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    assert outputs[-2:] == [StateChanged(SessionState.CLOSED), SessionClosed(CloseReason.HANGUP)]
    pair.run(1)
    assert pair.ended(End.CLIENT) is CloseReason.PEER_CLOSED


def test_a_closed_session_does_nothing_more() -> None:
    pair = Pair().connect()
    pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    dropped = [Dropped(DropReason.UNEXPECTED_STATE)]
    assert pair.do(End.SERVER, CloseSession(CloseReason.HANGUP)) == dropped
    assert pair.do(End.SERVER, SendAudio(b"", 0, 111)) == dropped
    assert pair.inject(End.SERVER, pair.server_path, b"\x80" + bytes(30)) == dropped
    assert pair.server.next_timeout() is None
    assert pair.server.handle_timeout(pair.now + 100) == []


def test_a_session_that_nobody_checks_times_out() -> None:
    pair = Pair(fate=lambda sender, datagram: ())
    pair.run(40)
    for end in End:
        assert pair.outputs(end, SessionClosed) == [
            SessionClosed(CloseReason.CONNECT_TIMEOUT, "no valid check")
        ]


def test_a_handshake_that_does_not_finish_times_out() -> None:
    pair = Pair(fate=lambda sender, datagram: () if is_dtls(datagram) else (0.01,))
    pair.run(40)
    for end in End:
        assert pair.outputs(end, SessionClosed) == [
            SessionClosed(CloseReason.CONNECT_TIMEOUT, "DTLS not finished")
        ]


def test_a_wrong_password_never_connects_and_gets_no_answer() -> None:
    pair = Pair(believed_password="something-else-entirely")
    pair.run(40)
    assert pair.ended(End.SERVER) is CloseReason.CONNECT_TIMEOUT
    assert set(pair.drops(End.SERVER)) == {DropReason.BAD_INTEGRITY}
    assert not pair.outputs(End.SERVER, SendDatagram)


@pytest.mark.parametrize("client_dtls", list(DtlsRole))
def test_a_certificate_that_is_not_in_the_sdp_ends_the_session(client_dtls: DtlsRole) -> None:
    stranger = identity("stranger").fingerprint
    pair = Pair(client_dtls=client_dtls, expected_client=stranger)
    pair.run(2)
    assert pair.ended(End.SERVER) is CloseReason.FINGERPRINT_MISMATCH
    assert pair.ended(End.CLIENT) is CloseReason.DTLS_FAILED
    pair = Pair(client_dtls=client_dtls, expected_server=stranger)
    pair.run(2)
    assert pair.ended(End.CLIENT) is CloseReason.FINGERPRINT_MISMATCH
    # It has said so with an alert; who had finished before takes that as an end, too.
    assert pair.ended(End.SERVER) in (CloseReason.DTLS_FAILED, CloseReason.PEER_CLOSED)


def test_a_hash_function_that_we_do_not_know_is_no_match() -> None:
    pair = Pair(expected_client=Fingerprint("md5", bytes(16)))
    pair.run(2)
    assert pair.ended(End.SERVER) is CloseReason.FINGERPRINT_MISMATCH


def test_consent_expires_thirty_seconds_after_the_last_check() -> None:
    pair = Pair().connect()
    pair.run(20)
    pair.fate = lambda sender, datagram: ()
    pair.run(24)
    assert pair.connected
    pair.run(8)
    assert pair.ended(End.SERVER) is CloseReason.CONSENT_EXPIRED
    assert pair.ended(End.CLIENT) is CloseReason.CONSENT_EXPIRED


def test_consent_is_kept_for_as_long_as_checks_come() -> None:
    pair = Pair().connect()
    pair.run(600)
    assert pair.connected


def test_media_may_stop_while_checks_go_on() -> None:
    pair = Pair().connect()
    pair.speak(End.CLIENT)
    pair.run(120)
    pair.speak(End.CLIENT)
    pair.run(1)
    assert len(pair.heard(End.SERVER)) == 2


def test_without_audio_there_may_be_no_srtp() -> None:
    pair = Pair(audio=False).connect()
    assert pair.do(End.SERVER, SendAudio(b"", 0, 111)) == [Dropped(DropReason.UNEXPECTED_STATE)]


def test_a_memoryview_is_as_good_as_bytes() -> None:
    pair = Pair().connect()
    datagram = pair.speak(End.CLIENT, b"view")
    pair.fate = lambda sender, datagram: ()
    event = DatagramReceived(pair.server_path, memoryview(bytearray(datagram)))
    (output,) = pair.do(End.SERVER, event)
    assert isinstance(output, AudioReceived)
    assert output.payload == b"view"
