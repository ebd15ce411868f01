"""The table of sessions with real clients: births, labels, proof, isolation, bounds, ends."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from config.ids import Endpoint, FlowKey, SessionId, Transport
from ipc.messages.sessions import CloseReason, Problem
from tests.support.transceiver import KEYS, OTHER_RELAY, PUBLIC, RELAY, ROUTE, Rig
from workers.transceiver.core.admission import UNCLAIMED
from workers.transceiver.core.interface import (
    AudioReceived,
    BackendCrashed,
    CloseAll,
    CloseSession,
    Crashed,
    Create,
    Created,
    Drain,
    Dropped,
    ForSession,
    FromSession,
    IceCredentials,
    MediaTook,
    RecordReceived,
    Refused,
    ReportArrived,
    RestartIce,
    SendAudio,
    SendRecord,
    SessionClosed,
    SessionEvent,
    SessionOutput,
    SessionParameters,
)
from workers.transceiver.core.offer import parse_answer
from workers.transceiver.core.room import MEASURE_EVERY
from workers.transceiver.core.session import Session
from workers.transceiver.core.sessions import UNKNOWN_PER_SECOND
from workers.transceiver.core.srtp import Srtp
from workers.wire.link import FLAG_ASSURED, FLAG_PROVEN, RecordType, encode_intro
from workers.wire.rtcp import Goodbye, ReceiverReport, encode_rtcp
from workers.wire.types import DropReason

OFFER = (File(__file__).parents[3] / "fixtures" / "offers" / "chromium-audio.sdp").read_text()
HERE = Endpoint("198.51.100.1", 4000)
THERE = Endpoint("198.51.100.2", 4000)


def refusal(rig: Rig, offer: str = OFFER, backend: str = "echo") -> Refused:
    (refused,) = rig.do(Create(8, offer, backend))
    assert isinstance(refused, Refused)
    assert refused.ticket == 8
    return refused


# --- births ---------------------------------------------------------------------------------------


def test_an_answer_carries_the_route_and_secrets_of_its_own() -> None:
    rig = Rig()
    outputs = rig.do(Create(8, OFFER, "echo")) + rig.do(Create(9, OFFER, "echo"))
    first, second = (output for output in outputs if isinstance(output, Created))
    assert (first.ticket, second.ticket) == (8, 9)
    assert first.session != second.session
    one, two = parse_answer(first.answer), parse_answer(second.answer)
    assert one.remote.ufrag != two.remote.ufrag
    assert one.remote.password != two.remote.password
    assert len(one.remote.password) >= 22
    assert KEYS.decode(one.remote.ufrag) == ROUTE
    prefix, cluster, token = first.session.split("_")
    assert (prefix, cluster) == ("rtc", "7")
    assert KEYS.decode(token) == ROUTE
    assert token not in first.answer
    assert one.candidates == (PUBLIC,)
    assert rig.sessions.counters.created == len(rig.sessions) == 2


def test_refusals_say_why() -> None:
    rig = Rig(max_sessions=1)
    assert refusal(rig, backend="oracle").problem is Problem.UNKNOWN_BACKEND
    assert "there are: echo" in refusal(rig, backend="oracle").detail
    assert refusal(rig, "v=0\r\n") == Refused(
        8, Problem.MALFORMED_SDP, "line 2: the second line is not o="
    )
    nothing = refusal(rig, OFFER.replace("m=audio", "m=video"))
    assert nothing.problem is Problem.NOTHING_IN_COMMON
    assert "video with opus" in nothing.detail
    rig.call()
    assert refusal(rig).problem is Problem.FULL
    rig.do(Drain())
    assert refusal(rig).problem is Problem.DRAINING
    assert len(rig.sessions) == 1


def test_who_does_not_come_makes_room_for_who_does() -> None:
    rig = Rig(max_sessions=3)
    talking = rig.connect()
    first, second = rig.do(Create(8, OFFER, "echo")) + rig.do(Create(9, OFFER, "echo"))
    rig.run(UNCLAIMED - 0.5)
    assert refusal(rig).problem is Problem.FULL
    rig.run(0.6)
    assert refusal(rig, "v=0\r\n").problem is Problem.MALFORMED_SDP
    assert len(rig.sessions) == 3
    caller = rig.call(THERE)
    (closed,) = rig.of(SessionClosed)
    assert closed.reason is CloseReason.CONNECT_TIMEOUT
    assert isinstance(first, Created)
    assert isinstance(second, Created)
    live = {row.session for row in rig.sessions.summaries(9, rig.now)}
    assert live == {talking.id, second.session, caller.id}
    rig.run_until(lambda: caller.connected)
    assert talking.connected
    rig.call(Endpoint("198.51.100.3", 4000))
    rig.run(UNCLAIMED + 0.1)  # and that one has begun to check
    assert refusal(rig).problem is Problem.FULL


def test_who_would_have_no_time_is_refused() -> None:
    rig = Rig(max_busy=0.8)
    rig.connect()
    assert refusal_for(rig, busy=0.3) is None
    # It costs 0.3 as the one that talks, and so would a third.
    assert (
        refusal_for(rig, busy=0.3)
        == "the 2 sessions of this transceiver leave it no time for one more"
    )
    rig.run(UNCLAIMED + 0.1)
    assert refusal_for(rig, busy=0.3) is None  # nobody comes for the second one
    assert "no time" in (refusal_for(rig, busy=0.9) or "")
    assert refusal_for(rig, busy=0.0) is None


def refusal_for(rig: Rig, *, busy: float) -> str | None:
    """What an offer is refused with, when media has taken that much of the time."""
    for _ in range(3):
        since = rig.now
        rig.run(MEASURE_EVERY)
        rig.do(MediaTook(busy * (rig.now - since)))
    (output,) = rig.do(Create(8, OFFER, "echo"))
    if isinstance(output, Created):
        return None
    assert isinstance(output, Refused)
    assert output.problem is Problem.FULL
    return output.detail


def test_a_session_that_cannot_be_made_is_a_refusal_and_a_crash() -> None:
    def broken(parameters: SessionParameters, now: float) -> Session:
        raise ZeroDivisionError

    rig = Rig(new_session=broken)
    crashed, refused = rig.do(Create(8, OFFER, "echo"))
    assert isinstance(crashed, Crashed)
    assert isinstance(refused, Refused)
    assert refused.problem is Problem.INTERNAL_ERROR
    assert len(rig.sessions) == 0


# --- a life ---------------------------------------------------------------------------------------


def test_a_caller_hears_its_echo() -> None:
    rig = Rig()
    caller = rig.connect()
    for index in range(50):
        caller.speak(b"%d" % index, index * 960)
        rig.run(0.02)
    assert caller.heard == [b"%d" % index for index in range(50)]
    counters = rig.plane.counters
    assert counters.frames == counters.forwarded == 50
    assert not counters.handed_up
    (row,) = rig.sessions.summaries(10, rig.now)
    assert (row.session, row.state, row.codec) == (caller.id, "connected", "opus")
    assert (row.packets_in, row.packets_out, row.lost) == (50, 50, 0)
    assert row.path == f"{HERE}>{PUBLIC}/udp"
    assert row.age > 1
    assert rig.sessions.connected == 1
    assert not rig.sessions.summaries(0, rig.now)


def test_marks_of_an_echoed_frame() -> None:
    rig = Rig()
    caller = rig.connect()
    caller.do(SendAudio(b"x", 12345, 0, marker=True))
    rig.run(0.1)
    (frame,) = (output for output in caller.outputs if isinstance(output, AudioReceived))
    assert (frame.payload_type, frame.timestamp, frame.marker) == (0, 12345, True)


def test_flags_assure_first_and_prove_later() -> None:
    rig = Rig()
    caller = rig.connect()
    rig.run(10)
    assured = [record.flags for record in rig.sent if record.flags & FLAG_ASSURED]
    assert assured[0] == FLAG_ASSURED
    assert assured[-1] == FLAG_ASSURED | FLAG_PROVEN
    assert {(record.relay, record.label) for record in rig.sent} == {(RELAY, caller.label)}


def test_two_callers_on_one_relay_do_not_mix() -> None:
    rig = Rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    one.speak(b"one")
    two.speak(b"two")
    rig.run(0.1)
    assert (one.heard, two.heard) == ([b"one"], [b"two"])


def test_a_relay_that_takes_over_takes_the_return_way_with_it() -> None:
    rig = Rig()
    caller = rig.connect()
    caller.relay = OTHER_RELAY
    rig.run(7)  # the next consent check goes through the other relay
    caller.speak(b"still here")
    rig.sent.clear()
    rig.run(0.1)
    assert caller.heard == [b"still here"]
    assert {record.relay for record in rig.sent} == {OTHER_RELAY}
    rig.do(ForSession(caller.id, CloseSession(CloseReason.HANGUP)))
    assert {relay for relay, _ in rig.records(RecordType.FORGET)} == {RELAY, OTHER_RELAY}


def test_a_recovered_flow_is_taken_by_its_address_if_the_packet_is_authentic() -> None:
    rig = Rig()
    caller = rig.connect()
    sent = [o for o in caller.outputs if type(o).__name__ == "SendDatagram"]
    before = len(sent)
    caller.speak(b"lost on the old relay")
    rig.run(0.1)
    caller.heard.clear()
    # The relay's successor knows the flow, and calls it by another label.
    fresh = Rig.label(rig, OTHER_RELAY, caller.key)
    caller.relay = OTHER_RELAY
    caller.session.handle(SendAudio(b"", 0, 111), rig.now)  # not sent: a gap
    outputs = caller.session.handle(SendAudio(b"via the successor", 960, 111), rig.now)
    packet = outputs[0].datagram  # type: ignore[union-attr]
    intro = encode_intro(caller.key, packet)
    rig.sent.clear()
    rig.do(RecordReceived(OTHER_RELAY, RecordType.INTRO, 0, fresh, intro))
    echo, word = rig.sent  # the plane's, then the session's
    assert (word.relay, word.label, word.flags, word.payload) == (
        OTHER_RELAY,
        fresh,
        FLAG_ASSURED,
        b"",
    )
    assert (echo.relay, echo.label, echo.flags) == (OTHER_RELAY, fresh, 0)
    # What nobody could have sent but the client: not its copy, nor anything made up.
    rig.sent.clear()
    for forged in (packet, b"\x80\x6f" + bytes(40)):
        again = encode_intro(caller.key, forged)
        rig.do(RecordReceived(RELAY, RecordType.INTRO, 0, 0x7700, again))
    assert rig.sent == []
    # From an address that is nobody's path it is unknown.
    stranger = encode_intro(FlowKey(Transport.UDP, THERE, PUBLIC), packet)
    rig.sent.clear()
    rig.do(RecordReceived(OTHER_RELAY, RecordType.INTRO, 0, 0x999, stranger))
    assert rig.records(RecordType.UNKNOWN) == [(OTHER_RELAY, 0x999)]
    assert before


def test_unknown_from_the_relay_unbinds_until_the_next_check() -> None:
    rig = Rig()
    caller = rig.connect()
    rig.do(RecordReceived(RELAY, RecordType.UNKNOWN, 0, caller.label, b""))
    rig.sent.clear()
    caller.speak(b"into the void")
    rig.run(0.1)
    assert rig.records(RecordType.UNKNOWN) == [(RELAY, caller.label)]
    assert caller.heard == []
    rig.run(7)
    caller.speak(b"back")
    rig.run(0.1)
    assert caller.heard == [b"back"]


# --- proof ----------------------------------------------------------------------------------------


def test_a_client_port_reused_for_a_new_session_moves_when_the_path_is_proven() -> None:
    rig = Rig()
    old = rig.connect(HERE)
    rig.callers.remove(old)  # the page was reloaded: nobody says goodbye
    new = rig.connect(HERE)
    assert new.label == old.label
    new.speak(b"new")
    rig.run(0.1)
    assert new.heard == [b"new"]


def test_a_spoofed_check_does_not_take_a_label_from_its_session() -> None:
    rig = Rig()
    victim = rig.connect(HERE)
    # A caller whose checks carry the victim's address: it never sees an answer.
    rig.lost = lambda record: record.payload[:2] == b"\x01\x01" or record.payload[:2] == b"\x00\x01"
    attacker = rig.call(HERE)
    rig.run(1.0)
    assert any(r.flags == FLAG_ASSURED for r in rig.sent)
    assert not attacker.connected
    rig.lost = lambda _: False
    rig.callers.remove(attacker)
    victim.speak(b"mine")
    rig.run(0.1)
    assert victim.heard == [b"mine"]


# --- strangers ------------------------------------------------------------------------------------


def test_data_on_unknown_labels_is_answered_within_bounds() -> None:
    rig = Rig()
    caller = rig.connect()
    for label in range(3 * UNKNOWN_PER_SECOND):
        rig.do(RecordReceived(OTHER_RELAY, RecordType.DATA, 0, label, b"\x80" * 40))
    assert len(rig.records(RecordType.UNKNOWN)) == UNKNOWN_PER_SECOND
    assert rig.sessions.counters.dropped[DropReason.UNKNOWN_FLOW] == 3 * UNKNOWN_PER_SECOND
    rig.run(1.1)
    rig.do(RecordReceived(OTHER_RELAY, RecordType.DATA, 0, 1, b"\x80"))
    assert len(rig.records(RecordType.UNKNOWN)) == UNKNOWN_PER_SECOND + 1
    caller.speak()
    rig.run(0.1)
    assert caller.heard == [b"frame"]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", DropReason.EMPTY),
        (b"\x00\x01", DropReason.MALFORMED_STUN),
        (bytes.fromhex("000100002112a442") + bytes(12), DropReason.UNKNOWN_UFRAG),
        (bytes.fromhex("010100002112a442") + bytes(12), DropReason.UNKNOWN_TRANSACTION),
        (b"\x16\xfe\xfd", DropReason.UNKNOWN_FLOW),
        (b"\xff", DropReason.UNKNOWN_FLOW),
    ],
)
def test_introductions_that_lead_nowhere(datagram: bytes, reason: DropReason) -> None:
    rig = Rig()
    rig.connect()
    payload = encode_intro(FlowKey(Transport.UDP, THERE, PUBLIC), datagram)
    outputs = rig.do(RecordReceived(RELAY, RecordType.INTRO, 0, 0x7700, payload))
    assert outputs[0] == Dropped(reason)
    assert rig.do(RecordReceived(RELAY, RecordType.INTRO, 0, 0x7700, b"short")) == [
        Dropped(DropReason.MALFORMED_LINK)
    ]
    assert rig.sessions.counters.conserved


def test_a_check_with_the_wrong_password_binds_nothing() -> None:
    rig = Rig()
    caller = rig.call()
    right = caller.session.session._parameters
    wrong = IceCredentials(right.remote.ufrag, "wrong-password-wrong-word")
    caller.do(RestartIce(right.local, wrong))
    rig.run(1)
    assert not caller.connected
    assert set(rig.drops()) == {DropReason.BAD_INTEGRITY}
    assert not rig.sent
    assert len(rig.sessions._roster.labels) == 0


# --- isolation ------------------------------------------------------------------------------------


class Fragile(Session):
    """Breaks at an RTCP packet of a certain length."""

    def handle(self, event: SessionEvent, now: float) -> list[SessionOutput]:
        if isinstance(event, ReportArrived) and len(event.packet) == 12:
            raise RuntimeError("a bug")
        return super().handle(event, now)


def fragile_rig() -> Rig:
    rig = Rig()
    make = rig.new_session

    def new_session(parameters: SessionParameters, now: float) -> Session:
        session = make(parameters, now)
        session.__class__ = Fragile
        return session

    rig.sessions._new_session = new_session
    return rig


def test_a_crash_ends_one_session_only() -> None:
    rig = fragile_rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    keys = one.session.session._dtls.keys
    assert keys is not None
    srtp = Srtp(keys)
    report = srtp.protect_rtcp(encode_rtcp([ReceiverReport(0), Goodbye(())]))
    assert isinstance(report, bytes)
    rig.to_transceiver(one.relay, one.key, report)
    rig.run(0.1)
    (crashed,) = rig.of(Crashed)
    assert crashed.session == one.id
    assert crashed.error.__traceback__ is not None
    (closed,) = rig.of(SessionClosed)
    assert (closed.reason, closed.detail) == (CloseReason.INTERNAL_ERROR, "RuntimeError")
    assert rig.records(RecordType.FORGET) == [(RELAY, one.label)]
    assert rig.sessions.counters.closed == {CloseReason.INTERNAL_ERROR: 1}
    two.speak(b"fine")
    rig.run(0.1)
    assert two.heard == [b"fine"]
    assert len(rig.sessions) == rig.sessions.connected == 1


def test_a_crash_in_a_timeout() -> None:
    rig = Rig()
    caller = rig.connect()

    def broken(now: float) -> list[SessionOutput]:
        raise KeyError("timer")

    entry = rig.sessions._roster.entries[caller.id]
    entry.core.handle_timeout = broken  # type: ignore[method-assign]
    rig.run(60)
    assert [crashed.session for crashed in rig.of(Crashed)] == [caller.id]
    assert rig.exchange.next_timeout() is None


def test_a_crash_reported_for_a_session_that_is_gone_is_nothing() -> None:
    assert Rig().do(BackendCrashed(SessionId("rtc_7_gone"), ValueError())) == []


# --- ends -----------------------------------------------------------------------------------------


def test_hanging_up_tells_client_and_relay() -> None:
    rig = Rig()
    caller = rig.connect()
    outputs = rig.do(ForSession(caller.id, CloseSession(CloseReason.HANGUP)))
    kinds = [o.type for o in outputs if isinstance(o, SendRecord)]
    assert kinds == [RecordType.DATA, RecordType.FORGET]  # close_notify needs the flow
    told = [o.output for o in outputs if isinstance(o, FromSession)]
    closed = told[-1]
    assert isinstance(closed, SessionClosed)
    assert closed.reason is CloseReason.HANGUP
    assert closed.fared is not None
    assert closed.fared.lost_out is None, "the client has not reported"
    rig.run(0.1)
    assert caller.ended is CloseReason.PEER_CLOSED
    assert rig.do(ForSession(caller.id, CloseSession(CloseReason.HANGUP))) == [
        Dropped(DropReason.UNKNOWN_SESSION)
    ]
    rig.do(RecordReceived(RELAY, RecordType.DATA, 0, caller.label, b"\x80"))
    assert rig.records(RecordType.UNKNOWN) == [(RELAY, caller.label)]


def test_a_session_nobody_comes_for_times_out() -> None:
    rig = Rig()
    rig.do(Create(1, OFFER, "echo"))
    rig.run(31)
    assert rig.of(SessionClosed)[0].reason is CloseReason.CONNECT_TIMEOUT
    assert len(rig.sessions) == 0
    assert rig.exchange.next_timeout() is None


def test_a_client_that_vanishes_loses_consent() -> None:
    rig = Rig()
    caller = rig.connect()
    rig.callers.remove(caller)
    rig.run(40)
    assert rig.sessions.counters.closed == {CloseReason.CONSENT_EXPIRED: 1}
    assert rig.records(RecordType.FORGET) == [(RELAY, caller.label)]


def test_drain_lets_sessions_live_and_close_all_ends_them() -> None:
    rig = Rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    rig.do(Drain())
    one.speak()
    rig.run(0.1)
    assert one.heard == [b"frame"]
    rig.do(CloseAll(CloseReason.DRAINED))
    rig.run(0.1)
    assert one.ended is two.ended is CloseReason.PEER_CLOSED
    assert rig.sessions.counters.closed == {CloseReason.DRAINED: 2}
    assert len(rig.sessions) == rig.sessions.connected == len(rig.sessions._roster.labels) == 0
