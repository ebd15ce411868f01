"""What a media plane is told, and when: seen from the commands that leave the table of sessions."""

from __future__ import annotations

from config.ids import Endpoint
from ipc.messages.sessions import CloseReason
from tests.support.transceiver import OTHER_RELAY, RELAY, Caller, Rig
from workers.transceiver.backends.base import Backend
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseSession,
    Dropped,
    ForSession,
    ForwardAudio,
    FromSession,
    RecordReceived,
    RelaysChanged,
    SendAudio,
)
from workers.transceiver.core.streams.interface import (
    BindLabel,
    CloseStream,
    ForwardStream,
    FrameReceived,
    LinkLabel,
    MediaSeen,
    OpenStream,
    ReceiveMedia,
    ReportReceived,
    SetWay,
    StreamClosed,
    UnbindLabel,
)
from workers.wire.link import FLAG_ASSURED, RecordType, encode_intro
from workers.wire.types import DropReason

HERE = Endpoint("198.51.100.1", 4000)
THERE = Endpoint("198.51.100.2", 4000)


class Silent(Backend):
    """A back end that says nothing, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def handle(self, event: FromSession, now: float) -> list[ForSession]:
        if isinstance(event.output, AudioReceived):
            self.heard.append(event.output.payload)
        return []


def silent_rig() -> tuple[Rig, Silent]:
    backend = Silent()
    return Rig(backends={"echo": backend}), backend


def at(caller: Caller) -> LinkLabel:
    return LinkLabel(caller.relay, caller.label)


def packet_of(caller: Caller, payload: bytes = b"x") -> bytes:
    """What the caller would send now."""
    (output,) = caller.session.handle(SendAudio(payload, 0, 111), caller.rig.now)
    datagram = getattr(output, "datagram", None)
    assert isinstance(datagram, bytes)
    return datagram


def intro(rig: Rig, caller: Caller, relay: Endpoint, datagram: bytes) -> None:
    """A relay that has recovered the caller's flow."""
    label = rig.label(relay, caller.key)
    payload = encode_intro(caller.key, datagram)
    rig.do(RecordReceived(relay, RecordType.INTRO, 0, label, payload))


def test_a_stream_opens_with_the_keys_and_gets_its_label_and_its_way() -> None:
    rig, _ = silent_rig()
    caller = rig.connect()
    (opened,) = rig.of(OpenStream)
    assert rig.of(BindLabel) == [BindLabel(at(caller), opened.stream)]
    assert rig.of(SetWay) == [SetWay(opened.stream, at(caller))]
    order = [type(o) for o in rig.outputs if isinstance(o, (OpenStream, BindLabel, SetWay))]
    assert order == [OpenStream, BindLabel, SetWay]


def test_a_stream_is_closed_with_its_session_and_its_number_used_anew() -> None:
    rig, _ = silent_rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    assert [o.stream for o in rig.of(OpenStream)] == [0, 1]
    rig.do(ForSession(one.id, CloseSession(CloseReason.HANGUP)))
    assert rig.of(CloseStream) == [CloseStream(0)]
    again = rig.connect(HERE)
    assert [o.stream for o in rig.of(OpenStream)] == [0, 1, 0]
    again.speak(b"still me")
    two.speak(b"me too")
    rig.run(0.1)
    assert rig.sessions.connected == 2


def test_a_number_is_not_used_before_the_plane_has_let_go_of_it() -> None:
    rig, _ = silent_rig()
    rig.plane.close = lambda stream: None  # type: ignore[method-assign]
    one = rig.connect(HERE)
    rig.do(ForSession(one.id, CloseSession(CloseReason.HANGUP)))
    for late in (
        FrameReceived(0, AudioReceived(b"", 111, 1, 1, False, 1), rig.now),
        ReportReceived(0, b"", rig.now),
        MediaSeen(0, at(one), rig.now),
    ):
        assert rig.do(late) == []
    rig.connect(THERE)
    assert [o.stream for o in rig.of(OpenStream)] == [0, 1]
    rig.do(StreamClosed(0))
    rig.connect(Endpoint("198.51.100.3", 1))
    assert [o.stream for o in rig.of(OpenStream)] == [0, 1, 0]


def test_media_that_was_faster_than_its_binding_is_handed_back() -> None:
    rig, backend = silent_rig()
    caller = rig.connect()
    datagram = packet_of(caller, b"early")
    outputs = rig.sessions.handle(
        RecordReceived(RELAY, RecordType.DATA, 0, caller.label, memoryview(datagram)), rig.now
    )
    assert outputs == [BindLabel(at(caller), 0), ReceiveMedia(at(caller), datagram)]
    rig.outputs += rig.harness.carry_out(outputs)
    assert backend.heard == [b"early"]
    assert rig.sessions.counters.conserved


def test_the_way_follows_the_relay_that_takes_over_and_the_label_the_session() -> None:
    rig, _ = silent_rig()
    caller = rig.connect()
    caller.relay = OTHER_RELAY
    rig.run(7)  # the next check goes through the other relay
    assert rig.of(SetWay)[-1] == SetWay(0, at(caller))
    assert rig.of(BindLabel)[-1] == BindLabel(at(caller), 0)
    rig.do(RecordReceived(OTHER_RELAY, RecordType.UNKNOWN, 0, caller.label, b""))
    assert rig.of(UnbindLabel) == [UnbindLabel(at(caller))]
    assert rig.of(SetWay)[-1] == SetWay(0, None)


def test_a_port_used_anew_takes_its_label_to_the_new_stream() -> None:
    rig, backend = silent_rig()
    old = rig.connect(HERE)
    old_key, rig.callers = old.key, []
    new = rig.connect(HERE)
    assert new.key == old_key
    assert rig.of(BindLabel)[-1] == BindLabel(at(new), 1)
    assert SetWay(0, None) in rig.of(SetWay)
    new.speak(b"the new one")
    rig.run(0.1)
    assert backend.heard == [b"the new one"]


# --- recovered flows ------------------------------------------------------------------------------


def test_the_first_packet_of_a_recovered_flow_is_answered_where_it_came_from() -> None:
    rig = Rig()
    caller = rig.connect()
    rig.sent.clear()
    intro(rig, caller, OTHER_RELAY, packet_of(caller))
    fresh = rig.label(OTHER_RELAY, caller.key)
    assert {(record.relay, record.label) for record in rig.sent} == {(OTHER_RELAY, fresh)}
    assert [r.flags for r in rig.sent if not r.payload] == [FLAG_ASSURED]
    assert rig.of(ReceiveMedia)[-1].takes_way
    assert rig.of(SetWay)[-1] == SetWay(0, LinkLabel(OTHER_RELAY, fresh))


def test_forgeries_under_fresh_labels_move_nothing_and_leave_one_binding_at_most() -> None:
    rig = Rig()
    caller = rig.connect()
    ways = list(rig.of(SetWay))
    rig.sent.clear()
    for label in range(0x5000, 0x5040):
        payload = encode_intro(caller.key, b"\x80\x6f" + bytes(40))
        rig.do(RecordReceived(OTHER_RELAY, RecordType.INTRO, 0, label, payload))
    assert rig.sent == []
    assert rig.of(SetWay) == ways
    assert len(rig.plane._bound) == 2
    caller.speak(b"as before")
    rig.run(0.1)
    assert caller.heard == [b"as before"]
    assert rig.sessions.counters.conserved


def test_a_recovered_flow_under_the_label_of_another_session_waits_for_a_check() -> None:
    rig = Rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    payload = encode_intro(one.key, packet_of(one))
    outputs = rig.do(RecordReceived(RELAY, RecordType.INTRO, 0, two.label, payload))
    assert outputs == [Dropped(DropReason.PENDING_FLOW)]
    two.speak(b"mine")
    rig.run(0.1)
    assert two.heard == [b"mine"]


# --- who hears whom -------------------------------------------------------------------------------


def test_two_sessions_are_joined_and_part_when_one_ends() -> None:
    rig, backend = silent_rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    rig.do(ForSession(one.id, ForwardAudio(two.id)))
    rig.do(ForSession(two.id, ForwardAudio(one.id)))
    one.speak(b"hello two")
    two.speak(b"hello one")
    rig.run(0.1)
    assert (one.heard, two.heard) == ([b"hello one"], [b"hello two"])
    assert backend.heard == []
    rig.do(ForSession(two.id, CloseSession(CloseReason.HANGUP)))
    assert rig.of(ForwardStream)[-1] == ForwardStream(0, None)
    one.speak(b"are you there")
    rig.run(0.1)
    assert backend.heard == [b"are you there"]


def test_forwarding_to_a_session_that_has_no_keys_yet_begins_when_it_has() -> None:
    rig, _ = silent_rig()
    early = rig.connect(HERE)
    late = rig.call(THERE)
    rig.do(ForSession(early.id, ForwardAudio(late.id)))
    rig.do(ForSession(late.id, ForwardAudio(early.id)))
    assert rig.of(ForwardStream) == []
    rig.run_until(lambda: late.connected)
    rig.run(0.2)
    assert rig.of(ForwardStream) == [ForwardStream(1, 0), ForwardStream(0, 1)]
    early.speak(b"welcome")
    rig.run(0.1)
    assert late.heard == [b"welcome"]


def test_a_wish_can_be_changed_and_taken_back() -> None:
    rig, backend = silent_rig()
    one, two = rig.connect(HERE), rig.connect(THERE)
    for target in (two.id, one.id, None, "rtc_nobody"):
        rig.do(ForSession(one.id, ForwardAudio(target)))  # type: ignore[arg-type]
    assert [o.target for o in rig.of(ForwardStream)] == [1, 0, None, None]
    rig.do(ForSession(two.id, CloseSession(CloseReason.HANGUP)))
    one.speak(b"up")
    rig.run(0.1)
    assert backend.heard == [b"up"]
    rig.do(ForSession(one.id, CloseSession(CloseReason.HANGUP)))
    assert rig.sessions._roster.wiring._sources == {}


def test_frames_of_a_back_end_need_keys() -> None:
    rig, _ = silent_rig()
    caller = rig.call()
    frame = ForSession(caller.id, SendAudio(b"x", 0, 111))
    rig.do(frame)
    assert rig.drops() == [DropReason.UNEXPECTED_STATE]
    rig.run_until(lambda: caller.connected)
    rig.run(0.2)
    rig.do(frame)
    rig.run(0.1)
    assert caller.heard == [b"x"]
    assert rig.sessions.counters.frames_out == 1


def test_a_relay_that_comes_back_is_the_way_again() -> None:
    rig = Rig()
    caller = rig.connect()
    for relays in (frozenset({OTHER_RELAY}), frozenset({OTHER_RELAY, RELAY})):
        rig.do(RelaysChanged(relays))
        rig.plane.hear(relays)
    assert rig.of(SetWay)[-1] == SetWay(0, None)
    rig.run(7)  # the next check, by the same label as before
    caller.speak(b"back again")
    rig.run(0.1)
    assert caller.heard == [b"back again"]
