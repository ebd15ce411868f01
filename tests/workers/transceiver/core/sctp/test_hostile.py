"""A peer that means harm: nothing raises, nothing loops, nothing grows."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sctp import Couple
from tests.workers.wire.test_sctp import chunks
from workers.transceiver.core.sctp.arrivals import MAX_GAPS
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.interface import (
    AssociationClosed,
    AssociationOutput,
    ChannelOpened,
    CloseCause,
    MessageReceived,
    OpenChannel,
    PacketReceived,
    Parameters,
    SendMessage,
    SendPacket,
    Shutdown,
)
from workers.transceiver.core.sctp.outbox import CHARGE
from workers.transceiver.core.sctp.reassembly import WAITING
from workers.transceiver.core.sctp.states import AssociationState
from workers.wire.sctp import encode_chunk, encode_packet, parse_packet
from workers.wire.sctp_chunks import (
    Chunk,
    CookieEcho,
    Data,
    ForwardTsn,
    Heartbeat,
    Init,
    ParameterType,
    Sack,
)

S = AssociationState
WINDOW, MESSAGE = 50_000, 20_000
PEER_TSN, PEER_TAG = 0xFFFF_FFF0, 99


class Victim:
    """An association and a peer that can say anything, and knows the tag."""

    def __init__(self) -> None:
        self.core = Association(
            Parameters(even=False, initiate=False, window=WINDOW, max_message=MESSAGE),
            lambda count: bytes(range(1, count + 1)),
        )
        self.now = 100.0
        self.outputs: list[AssociationOutput] = []
        self.say(Init(False, PEER_TAG, 100_000, 65535, 65535, PEER_TSN), tag=0)
        init_ack = self.sent()[-1]
        assert isinstance(init_ack, Init)
        self.tag = init_ack.tag
        cookie = init_ack.parameter(ParameterType.STATE_COOKIE)
        assert cookie
        self.say(CookieEcho(cookie))
        assert self.core.state is S.ESTABLISHED

    def say(self, *said: Chunk, tag: int | None = None) -> list[AssociationOutput]:
        tag = self.tag if tag is None else tag
        packet = encode_packet(5000, 5000, tag, map(encode_chunk, said))
        outputs = self.core.handle(PacketReceived(packet), self.now)
        self.outputs += outputs
        assert self.core.kept <= WINDOW + MESSAGE + WAITING
        return outputs

    def sent(self) -> list[Chunk]:
        packets = [o.packet for o in self.outputs if isinstance(o, SendPacket)]
        return [chunk for packet in packets for chunk in parse_packet(packet).chunks]

    def tick(self) -> None:
        at = self.core.next_timeout()
        if at is not None:
            self.now = max(self.now, at)
            self.outputs += self.core.handle_timeout(self.now)
            after = self.core.next_timeout()
            assert after is None or after > self.now


def data(offset: int, payload: bytes = b"x", **fields: Any) -> Data:
    tsn = (PEER_TSN + offset) & 0xFFFF_FFFF
    return Data(tsn, fields.pop("stream", 0), fields.pop("ssn", 0), 53, payload, **fields)


@pytest.mark.parametrize("length", range(4))
def test_a_parameter_of_no_length(length: int) -> None:
    core = Association(Parameters(even=False), lambda count: bytes(count))
    core.start(1.0)
    value = struct.pack(">IIHHIHH", 1, 5000, 1, 1, 1, 0x8008, length)
    bad = struct.pack(">BBH", 1, 0, 4 + len(value)) + value
    outputs = core.handle(PacketReceived(encode_packet(5000, 5000, 0, [bad])), 1.0)
    assert [type(o).__name__ for o in outputs] == ["Dropped"]


def test_gaps_without_end() -> None:
    victim = Victim()
    for number in range(1, 4 * MAX_GAPS):
        victim.say(data(2 * number, begin=False, end=False))
    for number in range(1, 4 * MAX_GAPS):
        victim.say(data(2 * number, begin=False, end=False))
    sack = next(c for c in reversed(victim.sent()) if isinstance(c, Sack))
    assert len(sack.gaps) <= MAX_GAPS
    assert len(sack.duplicates) <= 16
    assert all(len(o.packet) <= 1160 for o in victim.outputs if isinstance(o, SendPacket))


def test_a_message_without_end() -> None:
    victim = Victim()
    for number in range(100):
        victim.say(data(number, bytes(1000), begin=number == 0, end=False))
    assert victim.outputs[-1] == AssociationClosed(CloseCause.MESSAGE_TOO_BIG) or any(
        o == AssociationClosed(CloseCause.MESSAGE_TOO_BIG) for o in victim.outputs
    )


def test_fragments_that_do_not_fit_together() -> None:
    for second in (
        data(1, begin=True, end=True),
        data(1, begin=False, end=True, stream=3),
        data(1, begin=False, end=True, ssn=9),
        data(1, begin=False, end=True, unordered=True),
    ):
        victim = Victim()
        victim.say(data(0, begin=True, end=False))
        victim.say(second)
        assert AssociationClosed(CloseCause.PROTOCOL_VIOLATION) in victim.outputs


def test_messages_whose_turn_never_comes() -> None:
    victim = Victim()
    for number in range(3000):
        victim.say(data(number, bytes(100), ssn=1 + number % 30_000, stream=number % 7))
    assert victim.core.kept <= WINDOW + MESSAGE + WAITING


def test_no_data_in_data_ends_it() -> None:
    victim = Victim()
    victim.say(data(0, b""))
    assert victim.outputs[-1] == AssociationClosed(CloseCause.PROTOCOL_VIOLATION)


def test_a_leap_forward_costs_nothing() -> None:
    victim = Victim()
    for number in range(1, 100):
        victim.say(data(2 * number, begin=False))
    leap = (PEER_TSN + (1 << 30)) & 0xFFFF_FFFF
    victim.say(ForwardTsn(leap, tuple((stream, 5) for stream in range(2000))))
    assert victim.core.kept == 0


def test_channels_without_end() -> None:
    victim = Victim()
    for number in range(500):
        opening = b"\x03\x00\x01\x00\0\0\0\0\0\x01\0\0x"
        victim.say(data(number, opening, stream=2 * number)._replace(protocol=50))
        sacked = victim.sent()
        last = max((c.tsn for c in sacked if isinstance(c, Data)), default=None)
        if last is not None:
            victim.say(Sack(last, 100_000))
    assert len([o for o in victim.outputs if isinstance(o, ChannelOpened)]) == 64


def test_acknowledging_what_was_never_sent() -> None:
    victim = Victim()
    victim.core.handle(OpenChannel("x"), victim.now)
    for gaps in (((1, 65535),), ((5, 1),), ((1, 1), (1, 1)), ((0, 0),), tuple([(1, 65535)] * 300)):
        for cumulative in (0, 1, 0x0102_0304, 0xFFFF_FFFF, 0x8000_0000):
            victim.say(Sack(cumulative, 0, gaps))
    victim.tick()


def test_a_window_of_nothing_is_probed_and_not_flooded() -> None:
    victim = Victim()
    victim.core.handle(OpenChannel("x"), victim.now)
    first = next(c for c in victim.sent() if isinstance(c, Init)).initial_tsn
    victim.say(Sack(first, 0))
    for _ in range(50):
        victim.core.handle(SendMessage(1, bytes(1000)), victim.now)
    before = len(victim.outputs)
    for _ in range(20):
        victim.tick()
        victim.say(Sack(first, 0))
    probes = [o for o in victim.outputs[before:] if isinstance(o, SendPacket)]
    assert victim.core.state is S.ESTABLISHED
    assert len(probes) < 70


def test_a_heartbeat_too_big_is_not_echoed() -> None:
    victim = Victim()
    assert not any(isinstance(o, SendPacket) for o in victim.say(Heartbeat(False, bytes(5000))))


def test_a_forged_cookie_and_a_wrong_tag_do_nothing() -> None:
    core = Association(Parameters(even=False), lambda count: bytes(count))
    core.start(1.0)
    for cookie in (b"", bytes(10), bytes(32), bytes(1000)):
        packet = encode_packet(5000, 5000, 1, [encode_chunk(CookieEcho(cookie))])
        core.handle(PacketReceived(packet), 1.0)
    assert core.state is S.COOKIE_WAIT


def couple_in(state: AssociationState) -> tuple[Association, int, float]:
    """An association in that state, the tag it listens to, and the time."""
    couple = Couple()
    core = couple.b.core
    if state is S.CLOSED:
        pass
    elif state is S.COOKIE_WAIT:
        couple.b.start()
    elif state is S.COOKIE_ECHOED:
        couple.b.start()
        couple.network.run(0.025)
    else:
        couple.connect()
        couple.a.do(OpenChannel("x"))
        couple.network.run(1)
        couple.leg.loss = 1.0
        couple.b.do(SendMessage(0, bytes(5000)))
        if state is S.SHUTDOWN_PENDING:
            couple.b.do(Shutdown())
        elif state is not S.ESTABLISHED:
            couple.leg.loss = 0.0
            couple.network.run(3)
            sender = couple.b if state is S.SHUTDOWN_SENT else couple.a
            if state is S.SHUTDOWN_RECEIVED:
                couple.leg.filters.append(lambda t: [] if t.source == couple.b.here else [t])
                couple.b.do(SendMessage(0, bytes(5000)))
            sender.do(Shutdown())
            couple.network.run(0.015)
    assert core.state is state
    return core, core._handshake.tag, couple.network.now


STATES = [state for state in S if state is not S.GONE and state is not S.SHUTDOWN_ACK_SENT]


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=60, deadline=None)
@given(
    packets=st.lists(
        st.tuples(st.lists(chunks, min_size=1, max_size=5), st.booleans(), st.floats(0, 3)),
        max_size=12,
    )
)
def test_any_packets_in_any_state(
    state: AssociationState, packets: list[tuple[list[Chunk], bool, float]]
) -> None:
    core, tag, now = couple_in(state)
    for said, right, pause in packets:
        tag_said = 0 if isinstance(said[0], Init) and not said[0].ack else tag if right else 1
        encoded = [encode_chunk(chunk) for chunk in said]
        core.handle(PacketReceived(encode_packet(5000, 5000, tag_said, encoded)), now)
        now += pause
        if (at := core.next_timeout()) is not None and at <= now:
            core.handle_timeout(now)
            after = core.next_timeout()
            assert after is None or after > now
        assert core.kept <= 1_048_576 + 262_144 + 64
        assert core.buffered <= 4_194_304 + CHARGE


@settings(max_examples=150, deadline=None)
@given(
    said=st.lists(
        st.one_of(
            st.builds(
                data,
                st.integers(-2, 30),
                st.binary(max_size=4),
                begin=st.booleans(),
                end=st.booleans(),
                unordered=st.booleans(),
                stream=st.integers(0, 2),
                ssn=st.integers(0, 3),
            ),
            st.builds(
                lambda o, s: ForwardTsn((PEER_TSN + o) & 0xFFFF_FFFF, s),
                st.integers(-2, 30),
                st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=3).map(tuple),
            ),
        ),
        max_size=60,
    )
)
def test_data_near_the_window_in_any_order(said: list[Chunk]) -> None:
    victim = Victim()
    for chunk in said:
        victim.say(chunk)
        if victim.core.state is S.GONE:
            assert victim.core.kept == 0
            break
    assert not any(isinstance(o, MessageReceived) for o in victim.outputs)
