"""The plane in C against the one in Python: the same commands, datagrams and time give the same events,
the same bytes on the link and the same figures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.media import AUDIO, MTU, OPUS, PCMU, Peer, Relay, endpoint, peer, udp
from workers.native import NotBuilt, load_media
from workers.transceiver.core.interface import SendRecord
from workers.transceiver.core.srtp import SrtpProfile
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    FrameReceived,
    SendAudio,
    StreamClosed,
)
from workers.transceiver.media.base import MediaPlane
from workers.transceiver.media.link import Link
from workers.transceiver.media.native import NativePlane
from workers.transceiver.media.python import PythonPlane
from workers.wire.link import RecordType, encode_record, parse_records
from workers.wire.rtp import RtpPacket, encode_rtp
from workers.wire.types import DropReason

STREAMS = 3
AUDIOS = [
    AUDIO,
    AudioParameters("0", (OPUS,), sends=True, receives=True),
    AudioParameters("0", (PCMU, OPUS), sends=False, receives=True),
    AudioParameters("0", (PCMU, OPUS), sends=True, receives=False),
]
PROFILES = list(SrtpProfile)

Steps: TypeAlias = list[tuple[Any, ...]]

stream = st.integers(0, STREAMS - 1)
label = st.sampled_from([1, 1, 1, 2, 2, 3, 4])
step_of_sequence = st.one_of(
    st.integers(1, 2),
    st.integers(-6, 6),
    st.sampled_from(
        [-150, -128, -127, -100, -99, 127, 2998, 2999, 3000, 3001, 32767, 32768, -3000]
    ),
)
owner = st.sampled_from([None, None, None, None, 0, 1, 2])
"""Whose keys: those of the stream that the label is bound to, or of any."""
packet = st.tuples(
    step_of_sequence,
    st.sampled_from([7, 7, 7, 8]),
    st.sampled_from([111, 111, 111, 0, 96]),
    st.sampled_from(
        ["plain"] * 6 + ["padding", "extension", "csrc", "bad padding", "long extension"]
    ),
    st.integers(0, 60),
)
packets = st.tuples(st.just("packets"), label, owner, st.lists(packet, min_size=1, max_size=8))
other = st.one_of(
        st.tuples(st.just("again"), label),
        st.tuples(st.just("damaged"), label, st.integers(0, 200), st.integers(1, 255)),
        st.tuples(st.just("report"), label, owner, st.sampled_from([7, 8]), st.booleans()),
        st.tuples(st.just("sources"), label, owner, st.integers(1, 20)),
        st.tuples(st.just("noise"), label, st.binary(max_size=40)),
        st.tuples(st.just("stranger")),
        st.tuples(st.just("malformed")),
        st.tuples(st.just("open"), stream, st.integers(0, 3), st.integers(0, 1), st.integers(0, 2**15)),
        st.tuples(st.just("close"), stream),
        st.tuples(st.just("bind"), label, stream),
        st.tuples(st.just("unbind"), label),
        st.tuples(st.just("way"), stream, st.none() | label),
        st.tuples(st.just("forward"), stream, st.none() | stream),
        st.tuples(st.just("send"), stream, st.sampled_from([111, 0, 96]), st.sampled_from([0, 1468, 1469])),
        st.tuples(st.just("send report"), stream, st.sampled_from([8, 28, 1480, 1481])),
        st.tuples(st.just("record"), label, st.sampled_from([0, 50, 1300])),
        st.tuples(st.just("receive"), label),
        st.tuples(st.just("later"), st.sampled_from([1, 20, 49, 50, 51, 1000])),
        st.tuples(st.just("turn")),
)  # fmt: skip
steps = st.lists(st.tuples(packets, other), min_size=1, max_size=25).map(
    lambda pairs: [step for pair in pairs for step in pair]
)


class Both:
    """Two planes that hear and are told the same."""

    def __init__(self, ends: ExitStack) -> None:
        self.links = udp(), udp()
        for link in self.links:
            ends.callback(link.close)
        self.relay = Relay(self.links[0])
        self.stranger = udp()
        ends.callback(self.relay.sock.close)
        ends.callback(self.stranger.close)
        self.now = 1_000_000
        peers = [self.relay.at]
        self.native = NativePlane(self.links[0], mtu=MTU, peers=peers, max_streams=STREAMS)
        ends.callback(self.native.end)
        self.python = PythonPlane(Link(self.links[1], MTU, peers), self.clock)
        self.planes: tuple[MediaPlane, MediaPlane] = self.native, self.python
        self.peers: dict[int, Peer] = {n: peer(n) for n in range(STREAMS)}
        self.sequences = dict.fromkeys(range(STREAMS), 65_500)
        self.alive: set[int] = set()
        self.bound: dict[int, int] = {}
        self.leaving: set[int] = set()
        self.opened = 0
        self.last = b"\x80\x6f" + bytes(30)
        self.frames = 0

    def clock(self) -> float:
        return self.now / 1000

    def each(self, method: str, *arguments: object) -> None:
        for plane in self.planes:
            getattr(plane, method)(*arguments)

    def deliver(self, label: int, datagram: bytes) -> None:
        """The records come in datagrams of two, so that some are not aligned."""
        self.last = datagram
        record = encode_record(RecordType.DATA, 0, label, datagram)
        odd = encode_record(RecordType.DATA, 0, 99, bytes(label % 4))
        for link in self.links:
            self.relay.sock.sendto(odd + record, link.getsockname())

    # --- steps --------------------------------------------------------------------------------

    def packets(self, label: int, owner: int | None, packets: Steps) -> None:
        for packet in packets:
            self.packet(label, self.owner(label, owner), *packet)

    def owner(self, label: int, owner: int | None) -> int:
        return self.bound.get(label, 0) if owner is None else owner

    def packet(
        self, label: int, number: int, step: int, ssrc: int, type_: int, form: str, size: int
    ) -> None:
        sequence = self.sequences[number] = (self.sequences[number] + step) & 0xFFFF
        plain = encode_rtp(RtpPacket(type_, step < 0, sequence, sequence * 960, ssrc, bytes(size)))
        first, head, payload = plain[0], plain[1:12], plain[12:]
        match form:
            case "padding":
                plain = bytes([first | 0x20]) + head + payload + b"\0\0\x03"
            case "bad padding":
                plain = bytes([first | 0x20]) + head + payload + bytes([size + 2])
            case "extension":
                plain = bytes([first | 0x10]) + head + b"\xbe\xde\x00\x01abcd" + payload
            case "long extension":
                plain = bytes([first | 0x10]) + head + b"\xbe\xde\x00\x01" + payload[:20]
            case "csrc":
                plain = bytes([first | 0x02]) + head + payload
            case _:
                pass
        datagram = self.peers[number].srtp.protect(plain)
        if not isinstance(datagram, DropReason):
            self.deliver(label, datagram)

    def again(self, label: int) -> None:
        self.deliver(label, self.last)

    def damaged(self, label: int, at: int, mask: int) -> None:
        damaged = bytearray(self.last)
        damaged[at % len(damaged)] ^= mask
        self.deliver(label, bytes(damaged))

    def report(self, label: int, owner: int | None, ssrc: int, whole: bool) -> None:
        number = self.owner(label, owner)
        self.deliver(label, self.peers[number].report(ssrc, b"" if whole else b"rest"))

    def sources(self, label: int, owner: int | None, count: int) -> None:
        number = self.owner(label, owner)
        for ssrc in range(100, 100 + count):
            self.packet(label, number, 1, ssrc, 111, "plain", 5)

    def noise(self, label: int, datagram: bytes) -> None:
        self.deliver(label, datagram)
        self.last = datagram or b"\x80"

    def from_stranger(self) -> None:
        for link in self.links:
            self.stranger.sendto(b"\1\0\0\0\0\0\0\1", link.getsockname())

    def malformed(self) -> None:
        for link in self.links:
            self.relay.sock.sendto(b"\1\0\0\0\0\0\0\1\7", link.getsockname())

    def open(self, number: int, audio: int, profile: int, sequence: int) -> None:
        if number in self.alive | self.leaving:
            return
        self.alive.add(number)
        self.opened += 1
        self.peers[number] = peer(self.opened, PROFILES[profile])
        keys = self.peers[number].keys
        self.each("open", number, keys, AUDIOS[audio], 50 + self.opened, sequence)

    def close(self, number: int) -> None:
        if number in self.alive:
            self.alive.remove(number)
            self.leaving.add(number)
            self.bound = {at: owner for at, owner in self.bound.items() if owner != number}
            self.each("close", number)

    def bind(self, label: int, number: int) -> None:
        if number in self.alive:
            self.bound[label] = number
            self.each("bind", self.relay.label(label), number)

    def unbind(self, label: int) -> None:
        self.bound.pop(label, None)
        self.each("unbind", self.relay.label(label))

    def way(self, number: int, label: int | None) -> None:
        if number in self.alive:
            self.each("set_way", number, None if label is None else self.relay.label(label))

    def forward(self, number: int, target: int | None) -> None:
        if number in self.alive and (target is None or target in self.alive):
            self.each("forward", number, target)

    def send(self, number: int, type_: int, size: int) -> None:
        if number in self.alive:
            self.each("send", number, SendAudio(bytes(size), 5, type_))

    def send_report(self, number: int, size: int) -> None:
        if number in self.alive:
            self.each("send_report", number, b"\x80\xc9" + bytes(size - 2))

    def record(self, label: int, size: int) -> None:
        record = SendRecord(self.relay.at, RecordType.DATA, 3, label, bytes(size))
        self.each("send_record", record)

    def receive(self, label: int) -> None:
        self.each("receive", self.relay.label(label), self.last)

    def later(self, milliseconds: int) -> None:
        self.turn()
        self.now += milliseconds

    def turn(self) -> None:
        """Let both work, and compare all that can be seen."""
        self.each("flush")
        self.native.turn(self.clock())
        native, python = self.native.take(), self.python.take()
        self.python.flush()
        assert native == python
        out: dict[Any, list[tuple[Any, ...]]] = {endpoint(link): [] for link in self.links}
        while True:
            try:
                datagram, link = self.relay.sock.recvfrom(65536)
            except BlockingIOError:
                break
            assert len(datagram) <= MTU or len(list(parse_records(datagram))) == 1
            out[link] += [(*r[:3], bytes(r.payload)) for r in parse_records(datagram)]
        assert out[endpoint(self.links[0])] == out[endpoint(self.links[1])]
        assert self.native.counters == self.python.counters
        assert self.native.counters.conserved()
        for number in self.alive:
            ours, theirs = self.native.stats(number), self.python.stats(number)
            assert ours._replace(jitter=0) == theirs._replace(jitter=0)
            assert ours.jitter == pytest.approx(theirs.jitter)
        self.leaving -= {e.stream for e in native if isinstance(e, StreamClosed)}
        self.frames += sum(isinstance(e, FrameReceived) for e in native)

    def do(self, steps: Steps) -> None:
        doings: dict[str, Callable[..., None]] = {
            "send report": self.send_report,
            "stranger": self.from_stranger,
        }
        for name, *arguments in steps:
            doing = doings.get(name) or getattr(self, name)
            doing(*arguments)
        self.turn()


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    try:
        load_media()
    except NotBuilt as reason:
        pytest.skip(str(reason))


CALL: Steps = [
    ("open", 0, 0, 0, 65_000 >> 1), ("bind", 1, 0), ("way", 0, 1),
    ("open", 1, 0, 1, 9), ("bind", 2, 1), ("way", 1, 2), ("turn",),
]  # fmt: skip
"""Two sessions that talk; random steps from nothing seldom get so far."""


@settings(max_examples=int(os.environ.get("MEDIA_EXAMPLES", "60")), deadline=None)
@given(st.sampled_from([CALL, [*CALL, ("forward", 0, 0)], [*CALL, ("forward", 0, 1)]]), steps)
def test_nobody_can_tell_them_apart(begin: Steps, then: Steps) -> None:
    with ExitStack() as ends:
        both = Both(ends)
        both.do([*begin, *then])
        counters = both.native.counters
        note(f"frames up: {both.frames > 0}, forwarded: {counters.forwarded > 0}")
        note(f"dropped: {sorted(reason.value for reason in counters.dropped)}")


def test_a_long_call_through_wraps_and_changes() -> None:
    """Ours begin in the middle, so that 35 000 packets are enough for a wrap of both."""
    with ExitStack() as ends:
        both = Both(ends)
        both.do([*CALL, ("forward", 0, 0)])
        for n in range(700):
            ssrc = 7 + n // 500
            both.do([("packets", 1, 0, [(1 + (n % 97 == 0), ssrc, 111, "plain", 20)] * 50)])
            both.later(20)
        counters = both.native.counters
        assert counters.forwarded == 35_000
        assert counters.undelivered.total() == 0
