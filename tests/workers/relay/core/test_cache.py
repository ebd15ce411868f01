"""The flow cache seen from the relay's one door."""

from __future__ import annotations

import pytest

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.cache import BURIALS_SHARE, REWRITE, WINDOW
from workers.relay.core.hold import PATIENCE
from workers.relay.core.interface import (
    CacheSeen,
    Dropped,
    Event,
    FlowExpired,
    ForgetRoute,
    InstallFlow,
    KeepRoute,
    KnownFlow,
    LinkRecord,
    LookUp,
    Output,
    RemoveFlow,
    RouteAdded,
    RouteFound,
    SendRecord,
    Upcall,
)
from workers.relay.core.relay import Relay
from workers.wire.link import FLAG_ASSURED, RecordType
from workers.wire.types import DropReason
from workers.wire.ufrag import UfragKeys

KEYS = UfragKeys({"0": bytes(16)}, "0")
LOCAL, LINK = Endpoint("198.51.100.1", 3478), Endpoint("127.0.0.1", 7001)
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))
STALE = Route(ClusterId(0), TransceiverId(1), Epoch(9))
SRTP = b"\x80\x6f audio"
MAX_FLOWS = 64


def key(n: int = 1) -> FlowKey:
    return FlowKey(Transport.UDP, Endpoint(f"192.0.2.{n}", 5000), LOCAL)


def check() -> bytes:
    username = f"{KEYS.mint(ROUTE, bytes(6))}:theirs".encode()
    body = b"\x00\x06" + len(username).to_bytes(2, "big") + username + bytes(-len(username) % 4)
    return b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42transaction!" + body


class Play:
    def __init__(self) -> None:
        self.relay = Relay(KEYS, bytes, max_flows=MAX_FLOWS, max_pending=32)
        self.now = 1000.0
        self.see(RouteAdded(ROUTE, LINK))
        self.see(CacheSeen(True, 1))

    def see(self, event: Event) -> list[Output]:
        outputs = self.relay.handle(event, self.now)
        assert self.relay.counters.conserved(self.relay.cache.held)
        return outputs

    def media(self, n: int = 1) -> list[Output]:
        return self.see(Upcall(key(n), SRTP, None))

    def known_check(self, label: int) -> list[Output]:
        return self.see(Upcall(key(), check(), KnownFlow(label, ROUTE)))

    def assure(self, label: int, payload: bytes = b"") -> list[Output]:
        record = LinkRecord(LINK, RecordType.DATA, FLAG_ASSURED, label, payload, None)
        return self.see(record)

    def connect(self) -> int:
        (intro,) = self.see(Upcall(key(), check(), None))
        assert isinstance(intro, SendRecord)
        self.assure(intro.label, b"answer")
        return intro.label


@pytest.fixture
def play() -> Play:
    return Play()


def kept(outputs: list[Output]) -> list[Output]:
    return [o for o in outputs if isinstance(o, KeepRoute | ForgetRoute)]


def test_an_assured_flow_is_written_once(play: Play) -> None:
    (intro,) = play.see(Upcall(key(), check(), None))
    assert isinstance(intro, SendRecord)
    assert kept(play.assure(intro.label, b"answer")) == [KeepRoute(key(), ROUTE)]
    assert kept(play.known_check(intro.label)) == []


def test_and_again_when_it_would_be_forgotten_or_has_been(play: Play) -> None:
    label = play.connect()
    play.now += REWRITE
    assert kept(play.known_check(label)) == [KeepRoute(key(), ROUTE)]
    play.see(CacheSeen(True, 1))
    assert kept(play.known_check(label)) == []
    play.see(CacheSeen(True, 2))
    assert kept(play.known_check(label)) == [KeepRoute(key(), ROUTE)]


def test_what_was_assured_while_it_was_away_is_written_when_it_is_back(play: Play) -> None:
    play.see(CacheSeen(False))
    label = play.connect()
    assert kept(play.known_check(label)) == []
    play.see(CacheSeen(True, 1))
    assert kept(play.known_check(label)) == [KeepRoute(key(), ROUTE)]


@pytest.mark.parametrize("over", [RecordType.FORGET, RecordType.UNKNOWN])
def test_a_flow_that_is_over_is_taken_out(play: Play, over: RecordType) -> None:
    label = play.connect()
    outputs = play.see(LinkRecord(LINK, over, 0, label, b"", key()))
    assert kept(outputs) == [ForgetRoute(key())]


def test_media_of_a_stranger_wait_for_the_answer_and_go_to_the_owner(play: Play) -> None:
    assert play.media() == [LookUp(key())]
    assert play.media() == []
    assert play.relay.cache.held == 2
    first, second = play.see(RouteFound(key(), ROUTE))
    for intro in (first, second):
        assert isinstance(intro, SendRecord)
        assert (intro.type, intro.to) == (RecordType.INTRO, LINK)
        assert intro.payload.endswith(SRTP)
    (third,) = play.media()  # the owner has not said a word yet
    assert isinstance(third, SendRecord)
    outputs = play.assure(third.label)
    assert InstallFlow(key(), third.label, ROUTE, LINK) in outputs
    assert kept(outputs) == []  # it is written already
    assert play.relay.cache.counters.found == 1


def test_who_is_unknown_gets_a_tombstone(play: Play) -> None:
    play.media()
    install, remove, dropped = play.see(RouteFound(key(), None))
    assert isinstance(install, InstallFlow)
    assert remove == RemoveFlow(install.label)
    assert dropped == Dropped(DropReason.LOOKUP_FAILED)
    play.see(FlowExpired(install.label))
    assert play.relay.assured == 0


def test_a_route_that_is_not_live_is_no_route(play: Play) -> None:
    play.media()
    assert Dropped(DropReason.STALE_EPOCH) in play.see(RouteFound(key(), STALE))
    assert play.relay.counters.upcalls_dropped == {DropReason.STALE_EPOCH: 1}


def test_tombstones_of_strangers_leave_room_for_flows(play: Play) -> None:
    buried = 0
    for n in range(1, 30):
        play.media(n)
        outputs = play.see(RouteFound(key(n), None))
        for install in outputs:
            if isinstance(install, InstallFlow):
                buried += 1
                play.see(FlowExpired(install.label))
    assert buried == MAX_FLOWS // BURIALS_SHARE
    play.now += WINDOW
    play.media(40)
    assert any(isinstance(o, InstallFlow) for o in play.see(RouteFound(key(40), None)))


def test_an_answer_that_comes_late_or_unasked_is_nothing(play: Play) -> None:
    assert play.see(RouteFound(key(), ROUTE)) == []
    play.media()
    play.now += PATIENCE
    assert play.relay.next_timeout() == play.now
    play.relay.handle_timeout(play.now)
    assert play.relay.counters.upcalls_dropped[DropReason.LOOKUP_FAILED] == 1
    assert play.relay.counters.conserved(play.relay.cache.held)
    assert play.see(RouteFound(key(), ROUTE)) == []


def test_without_a_cache_nothing_waits(play: Play) -> None:
    play.see(CacheSeen(False))
    assert play.media() == [Dropped(DropReason.UNKNOWN_FLOW)]


def test_a_check_is_faster_than_the_answer(play: Play) -> None:
    play.media()
    play.connect()
    assert play.relay.assured == 1
    outputs = play.see(RouteFound(key(), ROUTE))
    assert all(isinstance(output, SendRecord) for output in outputs)


def test_flows_of_a_global_relay_are_its_own_to_write(play: Play) -> None:
    far = key()._replace(label=7)
    assert play.relay.cache.keep(far, 1, ROUTE, play.now) == []
    assert play.relay.cache.drop(far) == []
