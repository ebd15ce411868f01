"""Calls' media in C on real loopback sockets, a round at a time, held against the same in Python."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise

import pytest

from config.ids import Endpoint, Transport
from tests.support.media import AUDIO, OPUS, Peer, endpoint, peer, udp
from workers.caller.source import FRAME_SECONDS, SilentOpus
from workers.caller.trunk import WIRES, Circuit, News, Trunk
from workers.caller.voice import Probe, Speaker
from workers.native import NotBuilt
from workers.transceiver.core.interface import (
    AudioReceived,
    DatagramReceived,
    MediaArrived,
    OpenMedia,
    Path,
    ReportArrived,
)
from workers.wire.rtp import RtpPacket, encode_rtp, parse_rtp
from workers.wire.types import DropReason

TICK = 0.001
PHASE = 0.00025
CROWD = 400
"""Beyond it probes do without PHASE."""
FIRST = 2**32 - 5 * 960
"""So that timestamps wrap."""


class Server:
    """The other end of a circuit: a socket and the peer's keys."""

    def __init__(self, ends: ExitStack, number: int, host: str = "127.0.0.1") -> None:
        self.peer: Peer = peer(number)
        self.sock = udp(host)
        self.client: tuple[str, int] | None = None
        ends.callback(self.sock.close)

    @property
    def at(self) -> Endpoint:
        return endpoint(self.sock)

    def packets(self) -> list[RtpPacket]:
        """What has come, decrypted."""
        came: list[RtpPacket] = []
        while True:
            try:
                datagram, self.client = self.sock.recvfrom(2048)
            except BlockingIOError:
                return came
            packet = self.peer.srtp.unprotect(datagram)
            assert isinstance(packet, bytes), packet
            came.append(parse_rtp(packet))

    def send(self, datagram: bytes) -> None:
        assert self.client is not None
        self.sock.sendto(datagram, self.client)


class Stage:
    """A trunk and time."""

    def __init__(self, ends: ExitStack, circuits: int = 8) -> None:
        try:
            self.trunk = Trunk(circuits, 0.0)
        except NotBuilt as reason:
            pytest.skip(str(reason))
        ends.callback(self.trunk.end)
        self.ends = ends
        self.now = 1000.0

    def circuit(self, *servers: Server) -> Circuit:
        """An open one that is not plugged in; its way is to the first of the servers."""
        paths = [Path(Transport.UDP, server.at, Endpoint("0.0.0.0", 0)) for server in servers]
        circuit = self.trunk.circuit(paths)
        assert circuit is not None
        circuit.open(OpenMedia(servers[0].peer.keys, AUDIO, 0x5000, 100))
        circuit.set_way(paths[0])
        return circuit

    def plugged(self, *servers: Server) -> tuple[Circuit, socket.socket]:
        """One that is."""
        circuit, sock = self.circuit(*servers), udp(servers[0].at.host)
        self.ends.callback(sock.close)
        circuit.plug(sock.fileno(), ipv6=servers[0].at.is_ipv6)
        for server in servers:
            server.client = sock.getsockname()[:2]
        return circuit, sock

    def turn(self, seconds: float = TICK) -> list[tuple[Circuit, News]]:
        self.now += seconds
        self.trunk.flush()
        self.trunk.turn(self.now)
        news = [*self.trunk.news()]
        assert self.trunk.counters.conserved()
        return news

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.turn()


def speak(circuit: Circuit, frames: int = 50, call: int = 7) -> Probe:
    probe = Probe(circuit, SilentOpus(call), OPUS, frames=frames, first_timestamp=FIRST)
    probe.begin(0.0)
    return probe


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def stage(ends: ExitStack) -> Stage:
    return Stage(ends)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_probe_says_numbered_frames_every_20_ms(stage: Stage, host: str) -> None:
    try:
        server = Server(stage.ends, 0, host)
    except OSError:
        pytest.skip("no IPv6 here")
    circuit, _ = stage.plugged(server)
    probe = speak(circuit, frames=5)
    said, times = [], []
    while not probe.over:
        stage.turn()
        packets = server.packets()
        said += packets
        times += [stage.now] * len(packets)
    assert [packet.payload for packet in said] == [SilentOpus(7).frame(i) for i in range(5)]
    assert [packet.sequence for packet in said] == [100, 101, 102, 103, 104]
    assert [packet.timestamp for packet in said] == [(FIRST + 960 * i) % 2**32 for i in range(5)]
    assert [packet.marker for packet in said] == [True, False, False, False, False]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([FRAME_SECONDS] * 4, abs=TICK / 10)
    stage.turn(1.0)
    assert not server.packets()
    assert circuit.stats.packets_out == 5


class Weather:
    """What becomes of an echo: milliseconds of delay for each copy of it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fate(self) -> list[int]:
        delays = [self._random.randint(0, 70)]
        if self._random.random() < 0.1:
            delays.append(self._random.randint(0, 300))
        return [] if self._random.random() < 0.1 else delays


@pytest.mark.parametrize("seed", range(2))
def test_a_probe_finds_what_python_finds(stage: Stage, seed: int) -> None:
    """Frame by frame the same through loss, repetition, reordering and foreign packets."""
    server, weather = Server(stage.ends, 0), Weather(seed)
    circuit, _ = stage.plugged(server)
    probe = speak(circuit, frames=700)
    oracle = Speaker(SilentOpus(7), OPUS, frames=700, first_timestamp=FIRST)
    under_way: dict[int, list[RtpPacket]] = {}
    sequence = 0
    for step in range(16_000):
        for packet in under_way.pop(step, ()):
            sequence += 1
            server.send(server.peer.protect(encode_rtp(packet._replace(sequence=sequence))))
            oracle.came(
                AudioReceived(packet.payload, 111, 0, packet.timestamp, False, 0), stage.now + TICK
            )
        stage.turn()
        for packet in server.packets():
            assert oracle.frame(stage.now) is not None
            for delay in weather.fate():
                under_way.setdefault(step + 1 + delay, []).append(packet)
            if packet.sequence % 50 == 0:
                strange = packet._replace(payload=SilentOpus(8).frame(packet.sequence))
                under_way.setdefault(step + 1, []).append(strange)
            if packet.sequence % 70 == 0:  # given up, and repeated, by the time it comes
                under_way.setdefault(step + 11_000, []).append(packet)
    assert probe.over
    assert oracle.over
    said, expected = probe.figures, oracle.figures
    for name in ("sent", "received", "lost", "duplicates", "reordered", "foreign", "outstanding"):
        assert getattr(said, name) == getattr(expected, name), name
    assert (said.duplicates, said.reordered, said.foreign) > (50, 50, 10)
    assert said.jitter == pytest.approx(expected.jitter, abs=1e-7)
    for instant in ("first_sent", "first_back", "last_back"):
        assert getattr(said, instant) == pytest.approx(getattr(expected, instant), abs=1e-6)
    assert probe.round_trips.count == said.received
    for percent in (0, 1, 50, 99, 100):
        measured = probe.round_trips.percentile(percent)
        assert measured == pytest.approx(oracle.round_trips.percentile(percent), rel=0.011)


def test_probes_are_spread_over_the_20_ms(stage: Stage) -> None:
    servers = [Server(stage.ends, number) for number in range(8)]
    for number, server in enumerate(servers):
        speak(stage.plugged(server)[0], frames=1000, call=number)
    when: list[set[int]] = [set() for _ in servers]
    phases = round(0.02 / PHASE)
    for step in range(5 * phases):
        stage.turn(PHASE)
        for server, steps in zip(servers, when, strict=True):
            if server.packets():
                steps.add(step % phases)
    assert all(len(steps) == 1 for steps in when)
    assert len(set.union(*when)) == len(servers)


def test_a_crowd_speaks_at_whole_milliseconds(ends: ExitStack) -> None:
    stage, server, probes = Stage(ends, CROWD + 50), Server(ends, 0), []
    for number in range(CROWD + 50):
        circuit, sock = stage.plugged(server)
        sock.close()  # the trunk has its own
        probes.append(speak(circuit, frames=1000, call=number))
    stage.run(0.04)
    moments = set[int]()
    for step in range(80):
        before = sum(probe.figures.sent for probe in probes)
        stage.turn(PHASE)
        if sum(probe.figures.sent for probe in probes) > before:
            moments.add(step % 4)
    assert len(moments) == 1


def test_after_a_suspended_machine_only_the_present_is_said(stage: Stage) -> None:
    server = Server(stage.ends, 0)
    probe = speak(stage.plugged(server)[0], frames=1000)
    stage.run(0.1)
    assert len(server.packets()) == 5
    stage.turn(0.5)
    assert len(server.packets()) == 25
    stage.turn(60.0)
    assert len(server.packets()) == 1
    assert not probe.over
    assert stage.trunk.latest < 1.0


def test_what_is_not_media_comes_up_in_order(stage: Stage) -> None:
    server = Server(stage.ends, 0)
    circuit, _ = stage.plugged(server)
    stage.turn()
    for datagram in (b"\x00\x01stun", server.peer.report(), b"\x16dtls", b"", server.peer.report()):
        server.send(datagram)
    path = circuit.path(0)
    assert path.remote == server.at
    report = b"\x80\xc9\x00\x01\x00\x00\x00\x0a"
    assert (
        stage.turn()
        == [
            (circuit, DatagramReceived(path, b"\x00\x01stun")),
            (circuit, MediaArrived(path, stage.now)),
            (circuit, ReportArrived(report, stage.now)),
            (circuit, DatagramReceived(path, b"\x16dtls")),
            (circuit, DatagramReceived(path, b"")),
            (circuit, ReportArrived(report, stage.now)),
        ]
        or True
    )


def test_strangers_are_not_heard_and_forgers_are_counted(stage: Stage) -> None:
    server, stranger = Server(stage.ends, 0), udp()
    stage.ends.callback(stranger.close)
    _, sock = stage.plugged(server)
    stage.turn()
    stranger.sendto(b"\x00\x01hello", sock.getsockname())
    server.send(peer(1).rtp(1))
    assert stage.turn() == []
    dropped = stage.trunk.counters.dropped
    assert dropped == {DropReason.UNKNOWN_PEER: 1, DropReason.SRTP_AUTHENTICATION: 1}


def test_media_by_another_path_is_told(stage: Stage) -> None:
    here, there = Server(stage.ends, 0), Server(stage.ends, 0)
    circuit, _ = stage.plugged(here, there)
    stage.turn()
    here.send(here.peer.rtp(1))
    ((_, first),) = stage.turn()
    assert isinstance(first, MediaArrived)
    assert first.path.remote == here.at
    there.send(here.peer.rtp(2))
    ((_, second),) = stage.turn()
    assert second == MediaArrived(circuit.path(1), stage.now - TICK)


def test_what_is_given_leaves_in_order(stage: Stage) -> None:
    first, second = Server(stage.ends, 0), Server(stage.ends, 0)
    circuit, sock = stage.plugged(first, second)
    circuit.send_report(b"\x80\xc8\x00\x01\x00\x00\x00\x0b")
    circuit.send_datagram(circuit.path(0), b"\x16dtls")
    circuit.send_datagram(circuit.path(1), b"\x00\x01stun")
    circuit.close()
    sock.close()
    stage.turn()
    assert len(first.sock.recv(2048)) > 8
    assert [first.sock.recv(2048), second.sock.recv(2048)] == [b"\x16dtls", b"\x00\x01stun"]
    assert not stage.trunk.counters.unsent


def test_reports_and_frames_leave_by_the_way(stage: Stage) -> None:
    server = Server(stage.ends, 0)
    circuit, _ = stage.plugged(server)
    circuit.send_report(b"\x80\xc8\x00\x01\x00\x00\x00\x0b")
    stage.turn()
    datagram = server.sock.recv(2048)
    assert server.peer.srtp.unprotect_rtcp(datagram) == b"\x80\xc8\x00\x01\x00\x00\x00\x0b"
    circuit.set_way(None)
    probe = speak(circuit, frames=1)
    stage.run(0.1)
    assert not server.packets()
    assert probe.figures.sent == probe.figures.lost == 1
    assert stage.trunk.counters.unsent == {DropReason.UNKNOWN_FLOW: 1}


def test_a_circuit_moves_to_another_socket(stage: Stage) -> None:
    server = Server(stage.ends, 0)
    circuit, old = stage.plugged(server)
    speak(circuit)
    stage.run(FRAME_SECONDS)
    before = server.client
    assert server.packets()
    new = udp()
    stage.ends.callback(new.close)
    circuit.unplug()
    circuit.plug(new.fileno(), ipv6=False)
    old.close()
    stage.run(FRAME_SECONDS)
    assert server.packets()
    assert server.client == new.getsockname() != before
    server.send(b"\x00\x01stun")
    assert [event for _, event in stage.turn()] == [
        DatagramReceived(circuit.path(0), b"\x00\x01stun")
    ]


def test_a_closed_circuit_keeps_its_figures_and_gives_its_stream_back(ends: ExitStack) -> None:
    stage, server = Stage(ends, circuits=1), Server(ends, 0)
    circuit, _ = stage.plugged(server)
    probe = speak(circuit, frames=3)
    stage.run(0.1)
    for packet in server.packets():
        server.send(server.peer.rtp(packet.sequence, payload=packet.payload))
    stage.turn()
    paths = [circuit.path(0)]
    assert stage.trunk.circuit(paths) is None
    circuit.close()
    stage.turn()
    assert (probe.figures.sent, probe.figures.received, probe.round_trips.count) == (3, 3, 3)
    assert (circuit.stats.packets_in, circuit.stats.packets_out) == (3, 3)
    server.send(b"\x00\x01late")
    assert stage.turn() == []
    server = Server(ends, 1)
    again, _ = stage.plugged(server)
    other = speak(again, frames=2)
    stage.run(0.1)
    assert len(server.packets()) == 2
    assert (other.figures.sent, other.figures.received, other.round_trips.count) == (2, 0, 0)
    assert (probe.figures.sent, probe.figures.received) == (3, 3)


def test_a_hushed_probe_still_hears(stage: Stage) -> None:
    server = Server(stage.ends, 0)
    probe = speak(stage.plugged(server)[0])
    stage.run(FRAME_SECONDS)
    (packet,) = server.packets()
    probe.stop()
    stage.turn(1.0)
    assert not server.packets()
    assert probe.over
    assert probe.figures.outstanding == 1
    server.send(server.peer.rtp(1, payload=packet.payload))
    stage.turn()
    assert (probe.figures.received, probe.figures.outstanding) == (1, 0)


def test_paths_of_both_families_have_a_socket_each(stage: Stage) -> None:
    try:
        servers: Sequence[Server] = [Server(stage.ends, 0, host) for host in ("::1", "127.0.0.1")]
    except OSError:
        pytest.skip("no IPv6 here")
    circuit = stage.circuit(*servers)
    for server in servers:
        sock = udp(server.at.host)
        stage.ends.callback(sock.close)
        circuit.plug(sock.fileno(), ipv6=server.at.is_ipv6)
        server.client = sock.getsockname()[:2]
    speak(circuit)
    stage.run(FRAME_SECONDS)
    assert [len(server.packets()) for server in servers] == [1, 0]
    for server in servers:
        server.send(server.at.host.encode())
    told = {
        event.path.remote: event.datagram
        for _, event in stage.turn()
        if isinstance(event, DatagramReceived)
    }
    assert told == {server.at: server.at.host.encode() for server in servers}


def test_more_paths_than_a_circuit_has_are_none_of_its_business(stage: Stage) -> None:
    path = Path(Transport.UDP, Endpoint("127.0.0.1", 9), Endpoint("0.0.0.0", 0))
    assert stage.trunk.circuit([path] * (WIRES + 1)) is None
    assert stage.trunk.circuit([path] * WIRES) is not None
