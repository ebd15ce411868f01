"""What a cluster's relay makes of the records of a Global Relay, in the language of the core."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from tests.workers.relay.core.test_relay import ANSWER, DTLS, KEYS, SRTP, check
from workers.relay.core.interface import (
    Draining,
    Dropped,
    FlowAssured,
    IngressRecord,
    InstallFlow,
    KnownFlow,
    LinkRecord,
    OthersHeard,
    Output,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RouteAdded,
    SendBack,
    SendRecord,
    Upcall,
)
from workers.relay.core.relay import Relay
from workers.relay.core.ways import Neighbours
from workers.wire.link import FLAG_ASSURED, RecordType, encode_intro, encode_routed
from workers.wire.types import DropReason

OWN = ClusterId(0)
ROUTE = Route(OWN, TransceiverId(1), Epoch(1))
LINK = Endpoint("127.0.0.1", 7001)
GLOBAL = Endpoint("10.9.0.1", 7000)
INGRESS = Endpoint("10.0.0.1", 3479)
CLIENT = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5000), Endpoint("198.51.100.1", 3478))
KEY = FlowKey(Transport.UDP, GLOBAL, INGRESS, 0x107)
OTHER = Route(ClusterId(2), TransceiverId(1), Epoch(1))
RELAYS = (Endpoint("10.2.0.1", 3479), Endpoint("10.2.0.2", 3479))


def relay(**neighbours: object) -> Relay:
    given: dict[str, object] = {"globals": frozenset({GLOBAL.host}), "own": OWN, **neighbours}
    made = Relay(KEYS, bytes, max_flows=64, max_pending=32, neighbours=Neighbours(**given))  # type: ignore[arg-type]
    made.handle(RouteAdded(ROUTE, LINK), 0.0)
    return made


def says(
    of: Relay,
    datagram: bytes,
    type_: RecordType = RecordType.ROUTED,
    route: Route = ROUTE,
    flow: KnownFlow | None = None,
    key: FlowKey = KEY,
) -> list[Output]:
    payload = encode_routed(route, CLIENT, datagram) if type_ is RecordType.ROUTED else datagram
    outputs = of.handle(IngressRecord(key, type_, payload, flow), 1.0)
    assert of.counters.conserved()
    return outputs


def intro(label: int, datagram: bytes) -> SendRecord:
    return SendRecord(LINK, RecordType.INTRO, 0, label, encode_intro(CLIENT, datagram))


def introduced(of: Relay, datagram: bytes) -> int:
    (output,) = says(of, datagram)
    assert isinstance(output, SendRecord)
    assert output == intro(output.label, datagram)
    return output.label


def test_a_check_is_introduced_and_its_answer_goes_back_with_its_flags() -> None:
    of = relay()
    label = introduced(of, check(ROUTE))
    assert introduced(of, check(ROUTE)) == label
    assured = LinkRecord(LINK, RecordType.DATA, FLAG_ASSURED, label, ANSWER, None)
    assert of.handle(assured, 1.0) == [
        InstallFlow(KEY, label, ROUTE, LINK),
        FlowAssured(KEY, ROUTE),
        SendBack(KEY, RecordType.DATA, FLAG_ASSURED, ANSWER),
    ]
    known = KnownFlow(label, ROUTE, LINK)
    assert says(of, check(ROUTE), flow=known) == [intro(label, check(ROUTE))]
    assert says(of, SRTP, RecordType.DATA, flow=known) == [
        SendRecord(LINK, RecordType.DATA, 0, label, SRTP)
    ]


def test_media_that_are_introduced_are_recovered() -> None:
    of = relay()
    label = introduced(of, SRTP)
    assert says(of, DTLS, RecordType.DATA) == [intro(label, DTLS)]  # until it is vouched for
    vouched = LinkRecord(LINK, RecordType.DATA, FLAG_ASSURED, label, b"", None)
    assert of.handle(vouched, 1.0)[-1] == SendBack(KEY, RecordType.DATA, FLAG_ASSURED, b"")


def test_media_of_a_label_that_nobody_has_introduced_are_asked_about() -> None:
    of = relay()
    assert says(of, SRTP, RecordType.DATA) == [
        Dropped(DropReason.UNKNOWN_FLOW),
        SendBack(KEY, RecordType.UNKNOWN, 0, b""),
    ]
    introduced(of, check(ROUTE))
    assert says(of, SRTP, RecordType.DATA) == [Dropped(DropReason.PENDING_FLOW)]


def test_the_end_goes_back_too() -> None:
    of = relay()
    label = introduced(of, check(ROUTE))
    forget = SendBack(KEY, RecordType.FORGET, 0, b"")
    assert of.handle(LinkRecord(LINK, RecordType.FORGET, 0, label, b"", None), 1.0) == [forget]
    label = introduced(of, check(ROUTE))
    of.handle(LinkRecord(LINK, RecordType.DATA, FLAG_ASSURED, label, ANSWER, None), 1.0)
    ended = of.handle(LinkRecord(LINK, RecordType.FORGET, 0, label, b"", KEY), 1.0)
    assert ended == [RemoveFlow(label), forget]


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (ROUTE._replace(epoch=Epoch(2)), DropReason.STALE_EPOCH),
        (ROUTE._replace(transceiver=TransceiverId(9)), DropReason.UNKNOWN_ROUTE),
        (OTHER, DropReason.UNKNOWN_ROUTE),
    ],
)
@pytest.mark.parametrize("media", [False, True])
def test_it_is_for_live_transceivers_of_this_cluster(
    route: Route, reason: DropReason, media: bool
) -> None:
    of = relay(clusters={OTHER.cluster: RELAYS})
    assert says(of, SRTP if media else check(route), route=route) == [Dropped(reason)]


def test_the_ufrag_decides_and_not_what_was_said_of_it() -> None:
    assert says(relay(), check(ROUTE), route=OTHER)[0] == intro(1, check(ROUTE))


def test_strangers_are_not_heard() -> None:
    of = relay()
    stranger = KEY._replace(client=Endpoint("10.9.0.2", 7000))
    for type_ in RecordType:
        assert says(of, check(ROUTE), type_, key=stranger) == [Dropped(DropReason.UNKNOWN_PEER)]
    for type_ in (RecordType.INTRO, RecordType.FORGET, RecordType.UNKNOWN):
        assert says(of, b"", type_) == [Dropped(DropReason.UNSUPPORTED)]


def test_an_echo_is_answered_until_the_relay_drains() -> None:
    of = relay()
    assert says(of, b"", RecordType.ECHO) == [SendBack(KEY, RecordType.ECHO, 0, b"")]
    of.handle(Draining(), 1.0)
    assert says(of, b"", RecordType.ECHO) == []
    introduced(of, check(ROUTE))


@given(
    st.sampled_from(list(RecordType)),
    st.binary(max_size=100)
    | st.builds(encode_routed, st.just(ROUTE), st.just(CLIENT), st.binary()),
)
def test_whatever_it_says_ends_somewhere(type_: RecordType, payload: bytes) -> None:
    of = relay()
    of.handle(IngressRecord(KEY, type_, payload, None), 1.0)
    assert of.counters.conserved()


# --- from the other end ---------------------------------------------------------------------------


def assured_by(of: Relay) -> tuple[int, Endpoint]:
    """Label of a client's flow to the other cluster, and the relay that has it."""
    (told,) = of.handle(Upcall(CLIENT, check(OTHER), None), 1.0)
    assert isinstance(told, SendRecord)
    assert told.type is RecordType.ROUTED
    of.handle(LinkRecord(told.to, RecordType.DATA, FLAG_ASSURED, told.label, ANSWER, None), 1.0)
    return told.label, told.to


def test_a_relay_that_does_not_know_a_flow_is_told_again() -> None:
    of = relay(clusters={OTHER.cluster: RELAYS})
    label, at = assured_by(of)
    unknown = LinkRecord(at, RecordType.UNKNOWN, 0, label, b"", CLIENT)
    assert of.handle(unknown, 1.0) == [RaiseFlow(label)]
    raised = Upcall(CLIENT, SRTP, KnownFlow(label, OTHER, at))
    assert of.handle(raised, 1.0) == [
        InstallFlow(CLIENT, label, OTHER, at),
        SendRecord(at, RecordType.ROUTED, 0, label, encode_routed(OTHER, CLIENT, SRTP)),
    ]
    forget = LinkRecord(at, RecordType.FORGET, 0, label, b"", CLIENT)
    assert of.handle(forget, 1.0) == [RemoveFlow(label)]


def test_the_flows_of_a_dead_relay_go_to_the_next_one() -> None:
    of = relay(clusters={OTHER.cluster: RELAYS})
    label, at = assured_by(of)
    other = next(each for each in RELAYS if each != at)
    raised: list[Output] = []
    for tick in range(8):
        now = 1.0 + tick / 2
        assert of.next_timeout() is not None
        for output in of.handle_timeout(now):
            if isinstance(output, SendRecord) and output.to == other:
                echo = LinkRecord(other, RecordType.ECHO, 0, output.label, b"", None)
                assert of.handle(echo, now) == []
            elif not isinstance(output, SendRecord):
                raised.append(output)
    assert raised == [RaiseFlows(at)]
    known = KnownFlow(label, OTHER, at)
    told = encode_routed(OTHER, CLIENT, check(OTHER))
    assert of.handle(Upcall(CLIENT, check(OTHER), known), 5.0) == [
        InstallFlow(CLIENT, label, OTHER, other),
        SendRecord(other, RecordType.ROUTED, 0, label, told),
    ]


def hear_from(of: Relay, now: float, *relays: Endpoint) -> list[Output]:
    """Those answer the echo that is due; what else comes of it."""
    rest: list[Output] = []
    for output in of.handle_timeout(now):
        if not isinstance(output, SendRecord):
            rest.append(output)
        elif output.to in relays:
            of.handle(LinkRecord(output.to, RecordType.ECHO, 0, output.label, b"", None), now)
    return rest


def test_relays_that_hosts_announce_are_used_and_left_when_they_are_gone() -> None:
    of = relay()
    assert of.handle(Upcall(CLIENT, check(OTHER), None), 1.0) == [Dropped(DropReason.UNKNOWN_ROUTE)]
    assert of.handle(OthersHeard({OTHER.cluster: RELAYS}), 1.0) == []
    label, at = assured_by(of)
    other = next(each for each in RELAYS if each != at)
    assert of.handle(OthersHeard({OTHER.cluster: (other,)}), 1.0) == []
    raised = [out for tick in range(8) for out in hear_from(of, 1.0 + tick / 2, other)]
    assert raised == [RaiseFlows(at)]
    media = Upcall(CLIENT, SRTP, KnownFlow(label, OTHER, at))
    assert of.handle(media, 2.0) == [
        InstallFlow(CLIENT, label, OTHER, other),
        SendRecord(other, RecordType.ROUTED, 0, label, encode_routed(OTHER, CLIENT, SRTP)),
    ]


def test_a_global_relay_that_announces_itself_is_trusted_until_it_is_gone() -> None:
    of = relay(globals=frozenset())
    assert says(of, check(ROUTE)) == [Dropped(DropReason.UNKNOWN_PEER)]
    of.handle(OthersHeard({}, frozenset({GLOBAL.host})), 1.0)
    introduced(of, check(ROUTE))
    of.handle(OthersHeard({}), 1.0)
    introduced(of, check(ROUTE))  # it lives, whoever has lost sight of it
    of.handle(OthersHeard({}), 99.0)
    assert says(of, check(ROUTE)) == [Dropped(DropReason.UNKNOWN_PEER)]


def test_an_echo_of_a_stranger_is_a_strangers_record() -> None:
    of = relay(clusters={OTHER.cluster: RELAYS})
    echo = LinkRecord(LINK, RecordType.ECHO, 0, 1, b"", None)
    assert of.handle(echo, 1.0) == [Dropped(DropReason.STALE_LABEL)]
