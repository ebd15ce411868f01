"""Two associations and a network: each test is a rule of RFC 9260, 3758, 6525, 8831 or 8832."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from config.ids import Endpoint
from tests.support.network import Transit, capture, drop, drop_nth
from tests.support.sctp import A, B, Couple
from workers.transceiver.core.sctp.interface import (
    Abort,
    AssociationClosed,
    ChannelClosed,
    ChannelOpened,
    CloseCause,
    CloseChannel,
    Dropped,
    MessageReceived,
    OpenChannel,
    PacketReceived,
    Parameters,
    SendMessage,
    Shutdown,
)
from workers.transceiver.core.sctp.states import AssociationState
from workers.wire.sctp import parse_packet
from workers.wire.sctp_chunks import CookieAck, CookieEcho, Data, ForwardTsn, Init, Sack
from workers.wire.types import DropReason

S = AssociationState
FULL = Dropped(DropReason.QUEUE_FULL)


def carries(kind: type) -> Callable[[Transit], bool]:
    return lambda t: any(isinstance(chunk, kind) for chunk in parse_packet(t.datagram).chunks)


def data_from(sender: Endpoint) -> Callable[[Transit], bool]:
    return lambda t: t.source == sender and carries(Data)(t)


def pair(**options: Any) -> Couple:
    """Connected, with channel 0 open on both ends."""
    couple = Couple(**options).connect()
    couple.a.do(OpenChannel("chat"))
    couple.network.run_until(lambda: couple.b.of(ChannelOpened), within=30)
    couple.network.run(0.5)
    return couple


# --- handshake ------------------------------------------------------------------------------------


@pytest.mark.parametrize("initiate", [(True, False), (False, True), (True, True)])
def test_four_way_handshake(initiate: tuple[bool, bool]) -> None:
    couple = Couple(initiate=initiate).connect()
    assert couple.network.now - 1000.0 == pytest.approx(0.04, abs=0.011)


@pytest.mark.parametrize("kind", [Init, CookieEcho, CookieAck])
@pytest.mark.parametrize("both", [False, True])
def test_each_packet_of_the_handshake_may_be_lost(kind: type, both: bool) -> None:
    couple = Couple(initiate=(True, both))
    couple.leg.filters.append(drop_nth(0, carries(kind)))
    couple.connect()
    couple.a.do(OpenChannel("x"))
    couple.network.run_until(lambda: couple.b.of(ChannelOpened), within=5)


def test_every_seed_connects_through_a_bad_network() -> None:
    for seed in range(40):
        Couple(seed=seed, loss=0.3, duplication=0.2, jitter=0.1).connect(60)


def test_nobody_answers() -> None:
    couple = Couple(loss=1.0)
    couple.a.start()
    couple.network.run(120)
    assert couple.a.outputs == [AssociationClosed(CloseCause.PEER_LOST)]
    assert couple.a.next_timeout() is None


# --- channels -------------------------------------------------------------------------------------


def test_both_open_channels() -> None:
    couple = Couple()
    couple.a.do(OpenChannel("even", "p"))
    couple.connect()
    couple.b.do(OpenChannel("odd", ordered=False))
    couple.network.run(1)
    assert couple.a.of(ChannelOpened) == [
        ChannelOpened(0, "even", "p", True, by_peer=False),
        ChannelOpened(1, "odd", "", False, by_peer=True),
    ]
    assert set(couple.b.of(ChannelOpened)) == {
        ChannelOpened(0, "even", "p", True, by_peer=True),
        ChannelOpened(1, "odd", "", False, by_peer=False),
    }


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("payload", [b"", b"x", b"hello", bytes(1132), bytes(1133), bytes(65536)])
def test_a_message_arrives_whole(payload: bytes, text: bool) -> None:
    couple = pair()
    couple.a.do(SendMessage(0, payload, text))
    couple.network.run_until(lambda: couple.b.received, within=5)
    couple.b.do(SendMessage(0, payload, text))
    couple.network.run_until(lambda: couple.a.received, within=5)
    assert couple.a.of(MessageReceived) == couple.b.of(MessageReceived)
    assert couple.a.of(MessageReceived) == [MessageReceived(0, payload, text)]


def test_messages_stay_in_order_and_unordered_ones_do_not_wait() -> None:
    couple = pair()
    couple.a.do(OpenChannel("loose", ordered=False))
    couple.network.run(0.5)
    couple.leg.filters.append(drop_nth(0, data_from(A)))
    for number in range(4):
        couple.a.do(SendMessage(0, bytes([number])))
        couple.a.do(SendMessage(2, bytes([100 + number])))
    couple.network.run(2)
    ordered = [m.payload[0] for m in couple.b.of(MessageReceived) if m.channel == 0]
    loose = [m.payload[0] for m in couple.b.of(MessageReceived) if m.channel == 2]
    assert ordered == [0, 1, 2, 3]
    assert sorted(loose) == [100, 101, 102, 103]
    assert couple.b.of(MessageReceived)[0].channel == 2


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_closed_channel_closes_on_both_ends_after_its_messages(loss: float) -> None:
    couple = pair(seed=3)
    couple.leg.loss = loss
    couple.a.do(SendMessage(0, bytes(30_000)))
    couple.a.do(CloseChannel(0))
    assert couple.a.do(SendMessage(0, b"late")) == [Dropped(DropReason.UNKNOWN_CHANNEL)]
    couple.network.run(60)
    assert couple.b.received == [bytes(30_000)]
    assert couple.a.of(ChannelClosed) == couple.b.of(ChannelClosed) == [ChannelClosed(0)]
    couple.a.do(OpenChannel("again"))
    couple.a.do(SendMessage(0, b"new"))
    couple.network.run(60)
    assert couple.b.received[-1] == b"new"


def test_what_cannot_be_sent_is_refused() -> None:
    couple = pair(a=Parameters(even=True, peer_max_message=100, send_buffer=5000))
    assert couple.a.do(SendMessage(0, bytes(101))) == [Dropped(DropReason.OVERSIZE)]
    assert couple.a.do(SendMessage(8, b"")) == [Dropped(DropReason.UNKNOWN_CHANNEL)]
    couple.leg.loss = 1.0
    results = [couple.a.do(SendMessage(0, bytes(100))) for _ in range(100)]
    assert results[-1][-1] == Dropped(DropReason.QUEUE_FULL)
    assert couple.a.most_buffered <= 5000 + 400


def test_channels_are_counted() -> None:
    couple = pair(b=Parameters(even=False, max_channels=4))
    for number in range(10):
        couple.a.do(OpenChannel(str(number)))
    couple.network.run(2)
    assert len(couple.b.of(ChannelOpened)) == 4
    assert couple.b.of(Dropped).count(Dropped(DropReason.QUEUE_FULL)) == 7


def test_a_label_too_long_is_refused() -> None:
    couple = pair()
    assert couple.a.do(OpenChannel("x" * 2000))[-1] == Dropped(DropReason.OVERSIZE)


# --- loss -----------------------------------------------------------------------------------------


def test_fast_retransmit_needs_no_time_out() -> None:
    couple = pair()
    couple.leg.filters.append(drop_nth(0, data_from(A)))
    couple.a.do(SendMessage(0, bytes(9000)))
    took = couple.network.run_until(lambda: couple.b.received, within=5)
    assert took < 0.06


def test_the_last_packet_needs_one() -> None:
    couple = pair()
    couple.leg.filters.append(drop_nth(0, data_from(A)))
    couple.a.do(SendMessage(0, b"lonely"))
    took = couple.network.run_until(lambda: couple.b.received, within=5)
    assert 0.2 <= took < 0.3


def test_the_path_dies() -> None:
    couple = pair()
    couple.leg.loss = 1.0
    couple.a.do(SendMessage(0, b"nobody hears"))
    couple.network.run(120)
    assert couple.a.outputs[-2:] == [ChannelClosed(0), AssociationClosed(CloseCause.PEER_LOST)]
    # and who has nothing to say finds out by its heartbeats
    assert couple.b.outputs[-1] == AssociationClosed(CloseCause.PEER_LOST)


def test_a_heartbeat_keeps_an_idle_association() -> None:
    couple = pair()
    before = couple.a.packets
    couple.network.run(600)
    assert couple.a.core.state is S.ESTABLISHED
    assert 20 < couple.a.packets - before < 90


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("limit", [{"max_retransmits": 0}, {"max_lifetime": 0.01}])
def test_partial_reliability_gives_up(ordered: bool, limit: dict[str, Any]) -> None:
    couple = Couple().connect()
    couple.a.do(OpenChannel("lossy", ordered=ordered, **limit))
    couple.network.run(0.5)
    lose = drop_nth(0, data_from(A))
    forwards: list[Transit] = []
    couple.leg.filters.append(lose)
    couple.leg.filters.append(capture(forwards, carries(ForwardTsn)))
    couple.a.do(SendMessage(0, bytes(5000)))
    couple.a.do(SendMessage(0, b"next"))
    couple.network.run(3)
    assert couple.b.received == [b"next"]
    assert forwards
    assert couple.a.core.buffered == 0
    assert couple.b.core.kept == 0


def test_a_megabyte_each_way_through_loss_and_disorder() -> None:
    couple = pair(seed=7, delay=0.02, jitter=0.005, b=Parameters(even=False, send_buffer=1 << 22))
    couple.leg.loss, couple.leg.duplication = 0.05, 0.02
    there = [couple.network.random.randbytes(size) for size in [50_000] * 20 + [7] * 300]
    back = [couple.network.random.randbytes(size) for size in [65_536] * 16]
    for message in there:
        couple.a.do(SendMessage(0, message))
    for message in back:
        couple.b.do(SendMessage(0, message))
    took = couple.network.run_until(
        lambda: len(couple.b.received) == len(there) and len(couple.a.received) == len(back),
        within=120,
    )
    assert couple.b.received == there
    assert couple.a.received == back
    assert took < 60
    assert couple.b.core.kept == couple.a.core.kept == 0


@pytest.mark.parametrize("seed", range(8))
def test_any_mix_of_channels_through_a_bad_network(seed: int) -> None:
    couple = pair(seed=seed, jitter=0.05)
    couple.leg.loss, couple.leg.duplication = 0.15, 0.1
    couple.a.do(OpenChannel("loose", ordered=False))
    couple.b.do(OpenChannel("theirs"))
    random = couple.network.random
    sent: dict[int, list[bytes]] = {0: [], 2: [], 1: []}
    for number in range(60):
        channel = random.choice([0, 2, 1])
        message = number.to_bytes(2, "big") + random.randbytes(random.choice([0, 10, 1500, 6000]))
        sent[channel].append(message)
        couple.a.do(SendMessage(channel, message)) if channel != 1 else couple.b.do(
            SendMessage(1, message)
        )
        couple.network.run(random.random() * 0.05)
    couple.network.run(60)
    heard = {c: [m.payload for m in couple.b.of(MessageReceived) if m.channel == c] for c in (0, 2)}
    assert heard[0] == sent[0]
    assert sorted(heard[2]) == sorted(sent[2])
    assert couple.a.received == sent[1]


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [1, 5])
def test_loss_costs_no_more_speed_than_it_must(percent: int) -> None:
    """Mathis et al. 1997: what additive increase and halving make of random loss, in bytes a second."""
    couple, size, message = pair(loss=percent / 100, seed=3), 1 << 20, bytes(1 << 14)
    began = couple.network.now
    for _ in range(size // len(message)):
        couple.a.do(SendMessage(0, message))
    couple.network.run_until(lambda: not couple.a.core.buffered, within=60)
    speed = size / (couple.network.now - began)
    round_trip, packet = 0.02, 1160
    assert speed > 0.8 * 1.22 * packet / (round_trip * math.sqrt(percent / 100))


def test_the_window_of_the_peer_is_honoured() -> None:
    couple = pair(b=Parameters(even=False, window=20_000, max_message=100_000))
    lost: list[Transit] = []

    def lose_first(transit: Transit) -> list[Transit]:
        if not lost and data_from(A)(transit):
            lost.append(transit)
        first = lost and transit.source == A and transit.datagram[12:] == lost[0].datagram[12:]
        return [] if first and couple.network.now < 1003 else [transit]

    couple.leg.filters.append(lose_first)
    for number in range(60):
        couple.a.do(SendMessage(0, bytes([number]) * 1000))
    couple.network.run(30)
    assert [m[0] for m in couple.b.received] == list(range(60))
    assert couple.b.most_kept <= 20_000
    assert Dropped(DropReason.QUEUE_FULL) not in couple.b.outputs


def test_a_back_end_that_echoes_loses_no_message_however_small() -> None:
    """A window counts bytes of payload, and a message costs us 256 more: tiny ones overrun it."""
    slow, narrow = (
        Parameters(even=True, window=1500),
        Parameters(even=False, send_buffer=80_000, window=20_000),
    )
    couple = pair(a=slow, b=narrow)
    count, sent, echoed = 3000, 0, 0

    def step() -> bool:
        nonlocal sent, echoed
        while sent < count and not couple.a.do(SendMessage(0, b"%d" % sent)).count(FULL):
            sent += 1
        received = couple.b.received
        while echoed < len(received):
            assert FULL not in couple.b.do(SendMessage(0, received[echoed]))
            echoed += 1
        return len(couple.a.received) == count

    couple.network.run_until(step, within=300)
    assert couple.a.received == [b"%d" % n for n in range(count)]
    assert couple.b.most_buffered <= 80_000


def test_a_back_end_that_echoes_slows_the_peer_down() -> None:
    small = Parameters(even=False, send_buffer=200_000)
    couple = pair(b=small, delay=0.05)
    heard = 0
    for number in range(300):
        couple.a.do(SendMessage(0, bytes([number % 256]) * 10_000))

    def echo() -> bool:
        nonlocal heard
        for message in couple.b.received[heard:]:
            refused = couple.b.do(SendMessage(0, message))
            assert Dropped(DropReason.QUEUE_FULL) not in refused
            heard += 1
        return len(couple.a.received) == 300

    couple.leg.loss = 0.02
    couple.network.run_until(echo, within=300)
    assert couple.b.most_buffered <= 200_000


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("both", [False, True])
def test_a_shutdown_loses_nothing(loss: float, both: bool) -> None:
    couple = pair(seed=5)
    couple.leg.loss = loss
    couple.a.do(SendMessage(0, bytes(50_000)))
    couple.a.do(Shutdown())
    if both:
        couple.b.do(Shutdown())
    couple.network.run(120)
    assert couple.b.received == [bytes(50_000)]
    assert couple.a.outputs[-2] == ChannelClosed(0)
    ends = {couple.a.outputs[-1], couple.b.outputs[-1]}
    # Who answers last cannot know that its answer came: it gives up in time.
    assert AssociationClosed(CloseCause.SHUTDOWN) in ends
    assert ends <= {
        AssociationClosed(CloseCause.SHUTDOWN),
        AssociationClosed(CloseCause.PEER_LOST),
    }
    assert couple.a.core.state is couple.b.core.state is S.GONE


def test_an_abort_ends_both_at_once() -> None:
    couple = pair()
    couple.a.do(Abort())
    couple.network.run(0.011)
    assert couple.a.outputs[-1] == AssociationClosed(CloseCause.ABORTED)
    assert couple.b.outputs[-1] == AssociationClosed(CloseCause.PEER_ABORTED)
    assert couple.b.do(PacketReceived(b"late")) == [Dropped(DropReason.UNEXPECTED_STATE)]


# --- economy --------------------------------------------------------------------------------------


def test_small_messages_share_a_packet_and_acknowledgements_wait() -> None:
    couple = pair(delay=0.01)
    before = couple.b.packets
    couple.a.do(SendMessage(0, b"one"))
    couple.network.run_until(lambda: couple.b.received, within=1)
    couple.b.do(SendMessage(0, b"reply"))
    assert couple.b.packets == before + 1
    acks: list[Transit] = []
    couple.leg.filters.append(capture(acks, carries(Sack)))
    couple.network.run(1)
    assert len(acks) == 1


def test_no_timer_runs_hot() -> None:
    couple = pair()
    couple.leg.filters.append(drop(data_from(B)))
    couple.b.do(SendMessage(0, b"x"))
    before = couple.b.packets
    couple.network.run(20)
    assert couple.b.packets - before < 12
