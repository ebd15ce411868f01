"""The relay core in its own language: what comes in, what must go out, in that order."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from tests.support import stun
from workers.relay.core.flow import AMPLIFICATION
from workers.relay.core.flowtable import REST, SlotMemory
from workers.relay.core.interface import (
    Dropped,
    Event,
    FlowAssured,
    FlowExpired,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    Output,
    RemoveFlow,
    RemoveRoute,
    RouteAdded,
    RouteRemoved,
    SendDatagram,
    SendRecord,
    Upcall,
)
from workers.relay.core.limits import PER_UFRAG, RECOVERIES_PER_SOURCE
from workers.relay.core.pending import LIFE, MAX_ROUTES_PER_KEY
from workers.relay.core.relay import Relay
from workers.wire.link import FLAG_ASSURED, FLAG_PROVEN, RecordType, encode_intro
from workers.wire.types import DropReason
from workers.wire.ufrag import UfragKeys

KEYS = UfragKeys({"0": bytes(16)}, "0")
LOCAL = Endpoint("198.51.100.1", 3478)
KEY = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5000), LOCAL)
KEY6 = FlowKey(Transport.UDP, Endpoint("2001:db8::1", 5000), Endpoint("2001:db8::2", 3478))
LINK_1, LINK_2 = Endpoint("127.0.0.1", 7001), Endpoint("127.0.0.1", 7002)
DTLS, SRTP = b"\x16\xfe\xfd hello", b"\x80\x6f audio"
ANSWER = b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!"


def route(transceiver: int, epoch: int = 1) -> Route:
    return Route(ClusterId(0), TransceiverId(transceiver), Epoch(epoch))


ROUTE_1, ROUTE_2 = route(1), route(2)


def ufrag(of: Route, session: int = 0) -> str:
    return KEYS.mint(of, session.to_bytes(6, "big"))


def check(of: Route, session: int = 0) -> bytes:
    return stun.check(ufrag(of, session))


class Play:
    """A relay with two live routes, a clock, and the datapath's memory of what was installed."""

    def __init__(self, *, max_flows: int = 64, max_pending: int = 32) -> None:
        self.relay = Relay(KEYS, bytes, max_flows=max_flows, max_pending=max_pending)
        self.now = 1000.0
        self.installed: dict[int, InstallFlow] = {}
        assert self.see(RouteAdded(ROUTE_1, LINK_1)) == []
        assert self.see(RouteAdded(ROUTE_2, LINK_2)) == []

    def see(self, event: Event) -> list[Output]:
        outputs = self.relay.handle(event, self.now)
        for output in outputs:
            if isinstance(output, InstallFlow):
                for old in [f.label for f in self.installed.values() if f.key == output.key]:
                    self.expire(old)
                self.installed[output.label] = output
            elif isinstance(output, RemoveFlow):
                self.expire(output.label)
            elif isinstance(output, RemoveRoute):
                for label in [f.label for f in self.installed.values() if f.route == output.route]:
                    self.expire(label)
        self.holds()
        return outputs

    def expire(self, label: int) -> None:
        if self.installed.pop(label, None) is not None:
            assert self.relay.handle(FlowExpired(label), self.now) == []

    def holds(self) -> None:
        assert self.relay.counters.conserved()
        assert self.relay.assured == len(self.installed)

    def client(
        self, datagram: bytes, key: FlowKey = KEY, sibling: Route | None = None
    ) -> list[Output]:
        known = next((f for f in self.installed.values() if f.key == key), None)
        flow = KnownFlow(known.label, known.route) if known is not None else None
        return self.see(Upcall(key, datagram, flow, None if flow else sibling))

    def transceiver(
        self,
        label: int,
        payload: bytes = b"",
        *,
        flags: int = 0,
        type_: RecordType = RecordType.DATA,
        peer: Endpoint = LINK_1,
    ) -> list[Output]:
        flow = self.installed.get(label)
        key = flow.key if flow is not None and flow.link == peer else None
        return self.see(LinkRecord(peer, type_, flags, label, payload, key))

    def introduce(self, of: Route = ROUTE_1, key: FlowKey = KEY, session: int = 0) -> int:
        """A first check; the label under which the transceiver hears of it."""
        (output,) = self.client(check(of, session), key)
        assert isinstance(output, SendRecord)
        return output.label

    def assure(self, of: Route = ROUTE_1, key: FlowKey = KEY, flags: int = FLAG_ASSURED) -> int:
        """A flow that is in the datapath."""
        label = self.introduce(of, key)
        peer = LINK_1 if of == ROUTE_1 else LINK_2
        assert self.transceiver(label, ANSWER, flags=flags, peer=peer) == [
            InstallFlow(key, label, of, peer),
            FlowAssured(key, of),
            SendDatagram(key, ANSWER),
        ]
        return label

    def later(self, seconds: float) -> None:
        self.now += seconds
        assert self.relay.handle_timeout(self.now) == []
        self.holds()


@pytest.fixture
def play() -> Iterator[Play]:
    it = Play()
    yield it
    it.holds()


def dropped(reason: DropReason) -> list[Output]:
    return [Dropped(reason)]


def intro(key: FlowKey, label: int, datagram: bytes, to: Endpoint = LINK_1) -> Output:
    return SendRecord(to, RecordType.INTRO, 0, label, encode_intro(key, datagram))


# --- a flow's life --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, KEY6])
def test_a_check_introduces_and_the_answer_installs(play: Play, key: FlowKey) -> None:
    (first,) = play.client(check(ROUTE_1), key)
    assert isinstance(first, SendRecord)
    assert first == intro(key, first.label, check(ROUTE_1))
    assert play.transceiver(first.label, ANSWER, flags=FLAG_ASSURED) == [
        InstallFlow(key, first.label, ROUTE_1, LINK_1),
        FlowAssured(key, ROUTE_1),
        SendDatagram(key, ANSWER),
    ]
    assert (play.relay.pending, play.relay.assured) == (0, 1)


def test_more_checks_of_a_pending_flow_keep_its_label(play: Play) -> None:
    label = play.introduce()
    assert play.introduce() == label
    assert play.relay.pending == 1


def test_checks_of_an_assured_flow_go_on_under_its_label(play: Play) -> None:
    label = play.assure()
    assert play.client(check(ROUTE_1)) == [intro(KEY, label, check(ROUTE_1))]
    assert play.relay.pending == 0


def test_two_local_addresses_are_two_flows(play: Play) -> None:
    other = KEY._replace(local=Endpoint("198.51.100.2", 3478))
    assert play.introduce(key=KEY) != play.introduce(key=other)


def test_a_pending_flow_ends_after_its_life(play: Play) -> None:
    label = play.introduce()
    play.later(LIFE)
    assert play.relay.pending == 0
    assert play.transceiver(label, ANSWER, flags=FLAG_ASSURED) == dropped(DropReason.STALE_LABEL)


def test_checks_keep_a_pending_flow_alive(play: Play) -> None:
    label = play.introduce()
    for _ in range(4):
        play.later(LIFE - 1)
        assert play.introduce() == label


def test_an_ended_label_is_not_used_again_while_it_rests() -> None:
    play = Play(max_flows=1)
    label = play.introduce()
    play.later(LIFE)
    assert play.client(check(ROUTE_1)) == dropped(DropReason.SLOTS_FULL)
    play.later(REST)
    again = play.introduce()
    assert (again >> 8, again & 0xFF) == (label >> 8, (label & 0xFF) + 1)
    assert play.transceiver(label, ANSWER, flags=FLAG_ASSURED) == dropped(DropReason.STALE_LABEL)


def test_an_expired_flow_is_introduced_anew(play: Play) -> None:
    label = play.assure()
    play.expire(label)
    assert play.client(SRTP) == dropped(DropReason.UNKNOWN_FLOW)
    assert play.introduce() != label


def test_what_a_datagram_brings_of_a_flow_that_has_ended_meanwhile_is_not_believed(
    play: Play,
) -> None:
    label = play.assure()
    play.expire(label)
    ended = KnownFlow(label, ROUTE_1)
    assert play.see(Upcall(KEY, SRTP, ended)) == dropped(DropReason.UNKNOWN_FLOW)
    (introduced,) = play.see(Upcall(KEY, check(ROUTE_1), ended))
    assert isinstance(introduced, SendRecord)
    assert introduced.label != label


@pytest.mark.parametrize("type_", [RecordType.FORGET, RecordType.UNKNOWN])
def test_the_owner_ends_flows(play: Play, type_: RecordType) -> None:
    pending, assured = play.introduce(key=KEY6), play.assure()
    assert play.transceiver(pending, type_=type_) == []
    assert play.transceiver(assured, type_=type_) == [RemoveFlow(assured)]
    assert (play.relay.pending, play.relay.assured) == (0, 0)
    assert play.transceiver(assured, SRTP) == dropped(DropReason.STALE_LABEL)


# --- what strangers send --------------------------------------------------------------------------


@pytest.mark.parametrize("datagram", [DTLS, SRTP])
def test_media_need_an_assured_flow(play: Play, datagram: bytes) -> None:
    assert play.client(datagram) == dropped(DropReason.UNKNOWN_FLOW)
    play.introduce()
    assert play.client(datagram) == dropped(DropReason.PENDING_FLOW)


def test_media_that_waited_for_their_install_go_on(play: Play) -> None:
    label = play.assure()
    assert play.client(DTLS) == [SendRecord(LINK_1, RecordType.DATA, 0, label, DTLS)]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"\xff noise", DropReason.UNKNOWN_KIND),
        (check(ROUTE_1)[:-1], DropReason.MALFORMED_STUN),
        (check(route(1, epoch=2)), DropReason.STALE_EPOCH),
        (check(route(3)), DropReason.UNKNOWN_ROUTE),
        (ANSWER, DropReason.UNKNOWN_FLOW),
        (check(ROUTE_1).replace(ufrag(ROUTE_1).encode(), b"0" * 23), DropReason.FORGED_UFRAG),
        (check(ROUTE_1).replace(ufrag(ROUTE_1).encode(), b"9" * 23), DropReason.UNKNOWN_KEY),
    ],
)
def test_what_names_no_live_route_goes_nowhere(
    play: Play, datagram: bytes, reason: DropReason
) -> None:
    assert play.client(datagram) == dropped(reason)
    assert play.relay.pending == 0


def test_spoofed_sources_with_one_valid_ufrag_are_bounded(play: Play) -> None:
    keys = [KEY._replace(client=Endpoint(f"10.1.{n // 250}.{n % 250}", 9)) for n in range(500)]
    made = [play.client(check(ROUTE_1), key) for key in keys]
    assert play.relay.pending <= 32
    assert sum(isinstance(outputs[0], SendRecord) for outputs in made) <= PER_UFRAG
    assert play.relay.counters.upcalls_dropped[DropReason.PENDING_FULL] > 0
    # and no harm remains
    play.later(LIFE)
    play.assure(ROUTE_2)


def test_pending_flows_of_one_client_port_are_bounded() -> None:
    play = Play()
    for number in range(3, 3 + MAX_ROUTES_PER_KEY):
        play.see(RouteAdded(route(number), Endpoint("127.0.0.1", 7000 + number)))
        play.introduce(route(number))
    assert play.client(check(ROUTE_1)) == dropped(DropReason.PENDING_FULL)


def test_one_ufrag_is_limited_on_a_flow_too(play: Play) -> None:
    outputs = [play.client(check(ROUTE_1))[0] for _ in range(PER_UFRAG + 1)]
    assert outputs[-1] == Dropped(DropReason.UFRAG_LIMIT)
    assert play.client(ANSWER) == dropped(DropReason.UFRAG_LIMIT)
    play.later(1.0)
    play.introduce()


# --- answers to our own checks --------------------------------------------------------------------


def test_answers_come_back_on_pending_and_assured_flows(play: Play) -> None:
    label = play.introduce()
    assert play.client(ANSWER) == [intro(KEY, label, ANSWER)]
    assured = play.assure(ROUTE_1)
    other = play.introduce(ROUTE_2)
    assert play.client(ANSWER) == [
        intro(KEY, assured, ANSWER),
        intro(KEY, other, ANSWER, to=LINK_2),
    ]


def test_a_pending_flow_carries_what_the_transceiver_says(play: Play) -> None:
    label = play.introduce()
    assert play.transceiver(label, b"path check") == [SendDatagram(KEY, b"path check")]


def test_never_more_than_thrice_what_came_in(play: Play) -> None:
    label = play.introduce()
    allowed = AMPLIFICATION * len(check(ROUTE_1))
    assert play.transceiver(label, bytes(allowed)) == [SendDatagram(KEY, bytes(allowed))]
    assert play.transceiver(label, b"x") == dropped(DropReason.AMPLIFICATION_LIMIT)
    play.client(ANSWER)
    assert play.transceiver(label, b"x") == [SendDatagram(KEY, b"x")]


# --- one port, two sessions -----------------------------------------------------------------------


def test_a_reused_port_needs_proof_to_replace_a_live_flow(play: Play) -> None:
    old = play.assure(ROUTE_1)
    new = play.introduce(ROUTE_2)
    assert play.transceiver(new, ANSWER, flags=FLAG_ASSURED, peer=LINK_2) == [
        SendDatagram(KEY, ANSWER)
    ]
    assert old in play.installed
    proven = FLAG_ASSURED | FLAG_PROVEN
    assert play.transceiver(new, ANSWER, flags=proven, peer=LINK_2) == [
        InstallFlow(KEY, new, ROUTE_2, LINK_2),
        FlowAssured(KEY, ROUTE_2),
        SendDatagram(KEY, ANSWER),
    ]
    assert list(play.installed) == [new]
    assert play.transceiver(old, SRTP) == dropped(DropReason.STALE_LABEL)


def test_no_proof_is_needed_once_the_old_flow_is_gone(play: Play) -> None:
    old = play.assure(ROUTE_1)
    new = play.introduce(ROUTE_2)
    play.transceiver(old, type_=RecordType.FORGET)
    play.transceiver(new, ANSWER, flags=FLAG_ASSURED, peer=LINK_2)
    assert list(play.installed) == [new]


def test_of_two_pending_flows_the_second_needs_proof(play: Play) -> None:
    one, two = play.introduce(ROUTE_1), play.introduce(ROUTE_2)
    play.transceiver(one, ANSWER, flags=FLAG_ASSURED)
    play.transceiver(two, ANSWER, flags=FLAG_ASSURED, peer=LINK_2)
    assert list(play.installed) == [one]


# --- peers on the link ----------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [LINK_2, Endpoint("127.0.0.1", 9)])
@pytest.mark.parametrize("type_", list(RecordType))
def test_only_the_owner_is_heard(play: Play, peer: Endpoint, type_: RecordType) -> None:
    pending, assured = play.introduce(key=KEY6), play.assure()
    for label in (pending, assured):
        outputs = play.transceiver(label, ANSWER, flags=FLAG_ASSURED, type_=type_, peer=peer)
        assert outputs == dropped(DropReason.UNKNOWN_PEER)
    assert (play.relay.pending, play.relay.assured) == (1, 1)


def test_transceivers_do_not_introduce(play: Play) -> None:
    for label in (play.introduce(key=KEY6), play.assure()):
        outputs = play.transceiver(label, b"x", type_=RecordType.INTRO)
        assert outputs == dropped(DropReason.UNSUPPORTED)


def test_empty_data_is_dropped_but_may_assure(play: Play) -> None:
    label = play.introduce()
    assert play.transceiver(label) == dropped(DropReason.EMPTY)
    assert play.transceiver(label, flags=FLAG_ASSURED) == [
        InstallFlow(KEY, label, ROUTE_1, LINK_1),
        FlowAssured(KEY, ROUTE_1),
    ]
    assert play.transceiver(label) == dropped(DropReason.EMPTY)


# --- routes ---------------------------------------------------------------------------------------


def test_a_removed_route_takes_all_its_flows(play: Play) -> None:
    play.assure(ROUTE_1)
    pending = play.introduce(ROUTE_1, KEY6)
    kept = play.introduce(ROUTE_2, KEY6)
    assert play.see(RouteRemoved(ROUTE_1)) == [RemoveRoute(ROUTE_1)]
    assert (play.relay.pending, play.relay.assured) == (1, 0)
    assert play.transceiver(pending, ANSWER, flags=FLAG_ASSURED) == dropped(DropReason.STALE_LABEL)
    assert play.client(check(ROUTE_1)) == dropped(DropReason.UNKNOWN_ROUTE)
    assert play.introduce(ROUTE_2, KEY6) == kept
    assert play.see(RouteRemoved(ROUTE_1)) == []


def test_a_route_that_moves_starts_anew(play: Play) -> None:
    play.assure(ROUTE_1)
    assert play.see(RouteAdded(ROUTE_1, LINK_1)) == []
    assert play.see(RouteAdded(ROUTE_1, Endpoint("127.0.0.1", 7003))) == [RemoveRoute(ROUTE_1)]
    assert play.relay.assured == 0


# --- flows that a sibling knows -------------------------------------------------------------------


def recover(play: Play, datagram: bytes = SRTP, key: FlowKey = KEY) -> int:
    """Media of a stranger; the label under which the transceiver hears of it."""
    (output,) = play.client(datagram, key, sibling=ROUTE_1)
    assert isinstance(output, SendRecord)
    expected = SendRecord(LINK_1, RecordType.INTRO, 0, output.label, encode_intro(key, datagram))
    assert output == expected
    return output.label


def test_media_of_a_siblings_flow_are_introduced_until_the_owner_vouches(play: Play) -> None:
    label = recover(play)
    assert recover(play, DTLS) == label
    assert play.transceiver(label, flags=FLAG_ASSURED) == [
        InstallFlow(KEY, label, ROUTE_1, LINK_1),
        FlowAssured(KEY, ROUTE_1),
    ]
    assert play.client(SRTP) == [SendRecord(LINK_1, RecordType.DATA, 0, label, SRTP)]


def test_a_check_and_recovered_media_share_a_flow(play: Play) -> None:
    label = recover(play)
    assert play.introduce(ROUTE_1) == label
    assert recover(play) == label


def test_an_owner_that_does_not_know_it_leaves_a_tombstone(play: Play) -> None:
    label = recover(play)
    assert play.transceiver(label, type_=RecordType.UNKNOWN) == [
        InstallFlow(KEY, label, ROUTE_1, LINK_1),
        RemoveFlow(label),
    ]
    assert (play.relay.pending, play.relay.assured) == (0, 0)
    assert play.transceiver(label, SRTP) == dropped(DropReason.STALE_LABEL)


def test_an_owner_that_does_not_know_it_harms_no_flow_of_that_source(play: Play) -> None:
    label = recover(play)
    mine = play.assure(ROUTE_2)
    assert play.transceiver(label, type_=RecordType.UNKNOWN) == []
    assert set(play.installed) == {mine}


def test_a_siblings_flow_of_a_dead_route_is_dropped(play: Play) -> None:
    assert play.client(SRTP, sibling=route(9)) == dropped(DropReason.UNKNOWN_ROUTE)
    assert play.client(SRTP, sibling=route(1, epoch=9)) == dropped(DropReason.STALE_EPOCH)


def test_recovered_flows_leave_room_for_checks() -> None:
    play = Play(max_pending=8)
    keys = [KEY._replace(client=Endpoint("192.0.2.1", 6000 + n)) for n in range(8)]
    for key in keys[:4]:
        recover(play, key=key)
    assert play.client(SRTP, keys[4], sibling=ROUTE_1) == dropped(DropReason.PENDING_FULL)
    for key in keys[4:]:
        play.introduce(ROUTE_1, key)
    play.later(LIFE + 0.1)
    recover(play, key=keys[7])


def test_recoveries_are_limited_by_source(play: Play) -> None:
    for _ in range(RECOVERIES_PER_SOURCE):
        recover(play)
    assert play.client(SRTP, sibling=ROUTE_1) == dropped(DropReason.SOURCE_LIMIT)
    recover(play, key=KEY6)
    play.later(1.1)
    recover(play)


# --- after an earlier process ---------------------------------------------------------------------


def test_inherited_flows_are_served_and_end(play: Play) -> None:
    label = play.assure()
    memory = SlotMemory(bytearray([1] * 64), memoryview(bytearray(4)).cast("I"), (label,))
    memory.used[0] = 1
    play.relay = Relay(KEYS, bytes, max_flows=64, max_pending=32, memory=memory, now=play.now)
    play.see(RouteAdded(ROUTE_1, LINK_1))
    assert play.client(check(ROUTE_1)) == [
        SendRecord(LINK_1, RecordType.INTRO, 0, label, encode_intro(KEY, check(ROUTE_1)))
    ]
    assert play.transceiver(label, type_=RecordType.FORGET) == [RemoveFlow(label)]


# --- anything at all ------------------------------------------------------------------------------

clients = st.sampled_from([KEY, KEY6, KEY._replace(client=Endpoint("192.0.2.7", 0))])
routes = st.sampled_from([ROUTE_1, ROUTE_2, route(3)])
datagrams = st.one_of(
    routes.map(check), st.sampled_from([ANSWER, SRTP, DTLS]), st.binary(max_size=60)
)
steps = st.one_of(
    st.tuples(st.just("client"), clients, datagrams, st.none() | routes),
    st.tuples(
        st.just("record"),
        st.sampled_from([LINK_1, LINK_2]),
        st.sampled_from(list(RecordType)),
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    st.tuples(st.just("later"), st.floats(0, 20)),
    st.tuples(st.just("expire"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["add", "remove"]), routes),
)


@given(st.lists(steps, max_size=60))
def test_whatever_happens_the_laws_hold(script: list[tuple[object, ...]]) -> None:
    """Play itself asserts conservation, and that slots and installed flows are the same, every step."""
    play = Play(max_flows=8, max_pending=4)
    for step in script:
        match step:
            case ("client", FlowKey() as key, bytes() as datagram, (Route() | None) as sibling):
                play.client(datagram, key, sibling)
            case ("record", Endpoint() as peer, RecordType() as type_, int() as flags, int() as n):
                label = n << 8 | 1 if n < 8 else 1 << 30
                play.transceiver(label, b"payload", flags=flags, type_=type_, peer=peer)
            case ("later", float() as seconds):
                play.later(seconds)
            case ("expire", int() as index) if index < len(play.installed):
                play.expire(list(play.installed)[index])
            case ("add", Route() as live):
                play.see(RouteAdded(live, LINK_1 if live == ROUTE_1 else LINK_2))
            case ("remove", Route() as gone):
                play.see(RouteRemoved(gone))
            case _:
                pass
        assert play.relay.pending <= 4
